#pragma once

#include <string>
#include <vector>

#include "base/json/json.h"

namespace tidegate::worker {

/// The worst difference found at one place of one case.
struct TapDifference {
  std::string tap;  ///< "case0.attn.1", "case0.logits.kl", "case2.greedy"
  double worst =
      0;  ///< in units of the golden tensor's rms; for "kl" in nats; for choices a count of wrong ones
  double tolerance = 0;
  std::int64_t compared = 0;  ///< numbers or choices looked at; 0 never passes

  [[nodiscard]] bool passed() const { return compared > 0 && worst <= tolerance; }
  /// Of the tolerance: above 1 fails; infinity where nothing was allowed, or nothing compared.
  [[nodiscard]] double share() const;
};

struct VerifyReport {
  std::string model;   ///< model folder
  std::string golden;  ///< golden.json
  std::string architecture;
  std::string kernels;  ///< "avx512", ...
  std::vector<TapDifference> taps;
  /// Parts that `taps` say nothing about: "router" (the golden file has no weights of it), "mtp" (the draft layer: only one of
  /// model and golden file has it). No difference, and so no failure.
  std::vector<std::string> not_covered;

  /// False as well when nothing was compared.
  [[nodiscard]] bool passed() const;
  /// The tap with the largest share of its tolerance; nullptr without taps.
  [[nodiscard]] const TapDifference* nearest() const;
};

/// One line per tap and per part that is not covered, then "N passed, M failed".
std::string to_text(const VerifyReport& report);
json::object to_json(const VerifyReport& report);

}  // namespace tidegate::worker
