#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::scheduler {

/// Of a name: A to Z only.
std::string lower_case(std::string_view text);

/// One kind of device. 0 in a number means: not known. Nothing is guessed for it.
struct AcceleratorKind {
  std::string name;  ///< "h20-96"; lower case, as pools and the command line have it
  std::string title;
  std::vector<std::string> aliases;
  std::int64_t memory_bytes = 0;              ///< what a program can address
  std::int64_t bandwidth_bytes_per_s = 0;     ///< of its memory
  std::int64_t bf16_flops = 0;                ///< dense, per second
  std::int64_t fp8_flops = 0;                 ///< 0: no FP8 units or not known; computes in BF16 then
  std::int64_t link_bytes_per_s = 0;          ///< to its neighbours in the node, one direction
  std::string link;                           ///< "nvlink", "hccs", ...
  std::int32_t per_node = 0;                  ///< in the usual node
  std::int64_t price_micro_usd_per_hour = 0;  ///< typical; a pool's own price goes before it
  std::vector<std::string> engines;           ///< that serve DeepSeek models on it: "tidegate-cpu", "vllm", ...
  std::string sources;                        ///< where the numbers are from, for a person

  bool operator==(const AcceleratorKind&) const = default;
};

/// Every kind known, by name. Immutable after start.
class AcceleratorTable {
 public:
  /// Names and aliases share one space. Fails: already_exists/duplicate_accelerator; invalid_argument/bad_accelerator.
  Status add(AcceleratorKind kind);
  /// By name or alias, case ignored. Fails: not_found/unknown_accelerator, listing the known names.
  Result<const AcceleratorKind*> find(std::string_view name) const;
  const std::map<std::string, AcceleratorKind>& kinds() const { return kinds_; }

 private:
  std::map<std::string, AcceleratorKind> kinds_;
  std::map<std::string, std::string> names_;  ///< alias or name -> name
};

}  // namespace tidegate::scheduler
