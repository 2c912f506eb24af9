#include "worker/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tidegate::worker {
namespace {

struct RampBounds {
  double low = 0;
  double high = 0;
};

/// Pairs that turn more than beta_fast times within the original context keep their frequency (below low);
/// pairs that turn less than beta_slow times are slowed by the factor (above high).
RampBounds ramp_bounds(const ModelSpec& spec) {
  const YarnScaling& yarn = *spec.yarn;
  const double dim = spec.rope_dim;
  const auto pair_turning = [&](double turns) {
    return dim * std::log(yarn.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(spec.rope_theta));
  };
  const double low = pair_turning(yarn.beta_fast);
  const double high = pair_turning(yarn.beta_slow);
  const YarnBounds rounding = spec.formulas.rope.bounds;
  return {std::max(rounding == YarnBounds::kLowerUnrounded ? low : std::floor(low), 0.0),
          std::min(rounding == YarnBounds::kUpperFloored ? std::floor(high) : std::ceil(high), dim - 1)};
}

/// Llama 3.1: a wave that turns `turns` times within the original context is kept above the high factor, divided below
/// the low one, and blended linearly between.
void apply_llama3(const Llama3Scaling& scaling, Llama3Ramp ramp, std::vector<double>& frequencies) {
  for (double& frequency : frequencies) {
    const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
    const double kept = std::clamp((turns - scaling.low_frequency_factor) /
                                       (scaling.high_frequency_factor - scaling.low_frequency_factor),
                                   0.0, 1.0);
    switch (ramp) {
      case Llama3Ramp::kByWavelength:
        frequency = frequency * kept + frequency / scaling.factor * (1 - kept);
        break;
      case Llama3Ramp::kOff:
        break;
      case Llama3Ramp::kAllDivided:
        frequency /= scaling.factor;
        break;
    }
  }
}

}  // namespace

double yarn_mscale(double factor, double m) {
  return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1;
}

std::vector<double> rope_frequencies(const ModelSpec& spec) {
  std::vector<double> out(static_cast<std::size_t>(spec.rope_dim / 2));
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::pow(spec.rope_theta, -2.0 * static_cast<double>(i) / spec.rope_dim);
  }
  for (std::size_t i = 0; i < std::min(out.size(), spec.rope_divisors.size()); ++i) out[i] /= spec.rope_divisors[i];
  if (spec.llama3) apply_llama3(*spec.llama3, spec.formulas.rope.llama3, out);
  const YarnRamp kind = spec.formulas.rope.ramp;
  if (!spec.yarn || kind == YarnRamp::kOff) return out;

  const RampBounds bounds = ramp_bounds(spec);
  const double width =
      std::max(bounds.high - bounds.low, 1e-3);  // equal bounds make a step, not a division by 0
  for (std::size_t i = 0; i < out.size(); ++i) {
    double slowed = std::clamp((static_cast<double>(i) - bounds.low) / width, 0.0, 1.0);
    if (kind == YarnRamp::kReversed) slowed = 1 - slowed;
    out[i] = out[i] * (1 - slowed) + out[i] / spec.yarn->factor * slowed;
  }
  return out;
}

double rope_multiplier(const ModelSpec& spec) {
  if (!spec.yarn) return 1;
  const double m = yarn_mscale(spec.yarn->factor, spec.yarn->mscale);
  return spec.formulas.rope.mscale_on_cos_sin ? m
                                              : m / yarn_mscale(spec.yarn->factor, spec.yarn->mscale_all_dim);
}

}  // namespace tidegate::worker
