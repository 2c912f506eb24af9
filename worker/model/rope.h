#pragma once

#include <vector>

#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// 0.1 * m * ln(factor) + 1, and 1 without extension. Source: the YaRN paper, as DeepSeek's reference code
/// uses it.
double yarn_mscale(double factor, double m);

/// Inverse frequencies of the rope_dim / 2 pairs; yarn, Llama 3's scaling or a file's own divisors applied at every
/// length (as Hugging Face does;
/// DeepSeek's demo applies it only past the original context). In double: angles reach position x 1 radian,
/// and a float product would already be off by 1e-3 rad at 16k.
std::vector<double> rope_frequencies(const ModelSpec& spec);

/// What cos and sin are multiplied with: m(mscale) / m(mscale_all_dim), 1 for every released DeepSeek.
double rope_multiplier(const ModelSpec& spec);

}  // namespace tidegate::worker
