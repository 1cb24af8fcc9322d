// Rules about the sparse graph: it must keep its bound in every cohort that the contract allows, and whoever agrees to it
// reads that it is weaker than the complete graph. Design 3, "Complete graph at every n".

import { holdsInEveryCohort, secrecyBits, sparseGraphFor } from '../sealed-sum/sparse-graph.ts';
import type { ContractDraft } from '../study/contract.ts';
import { askedIn } from '../study/selection.ts';
import { refusal, warning } from './finding.ts';
import type { Finding } from './finding.ts';

export function graphFindings(contract: ContractDraft): Finding[] {
  const { sealing } = contract;
  const { sparseGraph, threshold, cohortFloor, colluders } = sealing;
  const institutions = askedIn(contract);
  const least = Math.max(threshold, cohortFloor);
  // Said already by the rules about how many.
  if (sparseGraph === undefined || institutions < 3 || least > institutions || colluders >= institutions) return [];
  const { degree, shareThreshold } = sparseGraph;
  if (degree >= institutions - 1)
    return [
      warning(
        'sparse-graph-without-effect',
        `With ${degree} neighbours among ${institutions} institutions every round uses the complete graph.`,
        'Leave the sparse graph out.',
      ),
    ];
  const study = { institutions, least, colluders };
  if (!holdsInEveryCohort(study, sparseGraph)) {
    const found = sparseGraphFor(study);
    return [
      refusal(
        'sparse-graph-too-sparse',
        `With ${degree} neighbours each, of whom ${shareThreshold} open a secret, ${colluders} colluders could read single updates too often (above 2^−${secrecyBits}), or rounds would fail too often.`,
        found === null
          ? 'Leave the sparse graph out: for these numbers only the complete graph is safe.'
          : `Use ${found.degree} neighbours and a share threshold of ${found.shareThreshold}, or leave the sparse graph out.`,
      ),
    ];
  }
  return [
    warning(
      'sparse-graph-weaker',
      `Each institution is protected by ${degree} random neighbours and not by all ${institutions - 1}. The bound 2^−${secrecyBits} is for institutions lost by chance; a coordinator that chooses whom to lose after the neighbours are drawn weakens it.`,
      'Leave the sparse graph out unless the roster is so large that the complete graph is too slow.',
    ),
  ];
}
