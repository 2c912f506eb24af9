#pragma once

#include "scheduler/core/accelerator.h"
#include "scheduler/core/model_shape.h"

namespace tidegate::scheduler {

inline ModelShape v3_shape() {
  ModelShape shape;
  shape.layers = 61;
  shape.hidden = 7168;
  shape.vocab = 129'280;
  shape.heads = 128;
  shape.q_lora_rank = 1536;
  shape.kv_lora_rank = 512;
  shape.nope_dim = 128;
  shape.rope_dim = 64;
  shape.value_dim = 128;
  shape.dense_intermediate = 18'432;
  shape.experts = 256;
  shape.experts_per_token = 8;
  shape.shared_experts = 1;
  shape.moe_intermediate = 2048;
  shape.first_moe_layer = 3;
  shape.router_bias = true;
  shape.mtp_layers = 1;
  return shape;
}

/// R1-Distill-Qwen-7B: 28 query heads over 4 key heads, biases on q, k and v.
inline ModelShape qwen_7b_shape() {
  ModelShape shape;
  shape.layers = 28;
  shape.hidden = 3584;
  shape.vocab = 152'064;
  shape.heads = 28;
  shape.kv_heads = 4;
  shape.head_dim = 128;
  shape.qkv_bias = true;
  shape.dense_intermediate = 18'944;
  return shape;
}

inline AcceleratorKind accelerator(std::string name, double memory_gib) {
  AcceleratorKind kind;
  kind.name = std::move(name);
  kind.memory_bytes = static_cast<std::int64_t>(memory_gib * (1 << 30) + 0.5);
  return kind;
}

}  // namespace tidegate::scheduler
