"""Tiny random models and adapters, and what transformers and PEFT compute with them.

make DIR: models in DIR/NAME (Hugging Face layout), a PEFT adapter in DIR/NAME-peft, and DIR/expected.json.
check DIR: loads the adapters in DIR/NAME-ours and prints their outputs.
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

IDS = [[1, 5, 9, 2, 30, 17, 4], [3, 3, 8, 21, 2, 11, 6]]
TARGETS = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "llama-classes": ["q_proj", "v_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "bert-classes": ["query", "value"],
}


def base(name):
    torch.manual_seed(7)
    llama = dict(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, initializer_range=0.3,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
        },
    )
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**llama, attention_bias=True))
    if name == "llama-classes":
        return LlamaForSequenceClassification(LlamaConfig(**llama, num_labels=3, pad_token_id=0))
    if name == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3))
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, num_labels=3, initializer_range=0.3,
        )
    )


def outputs(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS)).logits.flatten().tolist()


def make(folder):
    expected = {"ids": IDS, "models": {}}
    for name, targets in TARGETS.items():
        model = base(name)
        for parameter in model.parameters():  # Zero biases would hide a swapped one.
            parameter.data += 0.05 * torch.randn_like(parameter)
        model.save_pretrained(folder / name)
        plain = outputs(model)
        classes = name.endswith("-classes")
        config = LoraConfig(r=3, lora_alpha=5, target_modules=targets, task_type="SEQ_CLS" if classes else "CAUSAL_LM")
        adapted = get_peft_model(model, config)
        for key, parameter in adapted.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                parameter.data = 0.3 * torch.randn_like(parameter)
        adapted.save_pretrained(folder / f"{name}-peft")
        expected["models"][name] = {"plain": plain, "adapted": outputs(adapted)}
    (folder / "expected.json").write_text(json.dumps(expected))


def check(folder):
    found = {}
    for name in TARGETS:
        model = base(name).from_pretrained(folder / name)
        found[name] = outputs(PeftModel.from_pretrained(model, folder / f"{name}-ours"))
    print(json.dumps(found))


{"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
