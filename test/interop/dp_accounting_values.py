# Reads schedules as JSON from standard input and answers ε at δ of each by dp-accounting, as JSON on standard output.
import json
import sys

import dp_accounting as dp
from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant

RELATIONS = {
    "add-or-remove": dp.NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace-one": dp.NeighboringRelation.REPLACE_ONE,
}


def event_of(event):
    kind = event["mechanism"]
    if kind == "gaussian":
        inner = dp.GaussianDpEvent(event["noiseMultiplier"])
        if event["samplingRate"] < 1:
            inner = dp.PoissonSampledDpEvent(event["samplingRate"], inner)
    elif kind == "laplace":
        inner = dp.LaplaceDpEvent(event["noiseMultiplier"])
        if event["samplingRate"] < 1:
            inner = dp.PoissonSampledDpEvent(event["samplingRate"], inner)
    elif kind == "gaussian-mixture":
        inner = dp_event.MixtureOfGaussiansDpEvent(
            event["standardDeviation"], event["sensitivities"], event["probabilities"]
        )
    elif kind == "fixed-size-sampled-gaussian":
        # dp-accounting takes the noise relative to what replacing a unit moves: twice the clipping norm.
        inner = dp.SampledWithoutReplacementDpEvent(
            event["populationSize"], event["batchSize"], dp.GaussianDpEvent(event["noiseMultiplier"] / 2)
        )
    else:
        raise ValueError(kind)
    return dp.SelfComposedDpEvent(inner, event["steps"])


def answer(case):
    relation = RELATIONS[case["adjacency"]]
    if case["accountant"] == "pld":
        account = pld_privacy_accountant.PLDAccountant(relation, value_discretization_interval=2e-4)
    else:
        account = rdp_privacy_accountant.RdpAccountant(neighboring_relation=relation)
    for event in case["events"]:
        account.compose(event_of(event))
    return account.get_epsilon(case["delta"])


print(json.dumps([answer(case) for case in json.load(sys.stdin)]))
