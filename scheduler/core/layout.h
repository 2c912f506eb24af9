#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/model_shape.h"

namespace tidegate::scheduler {

inline constexpr std::int32_t kRanksMax = 1024;

/// How one replica is spread over accelerators; one rank is one accelerator.
struct Layout {
  std::int32_t tensor = 1;    ///< TP: matrices and attention heads are cut
  std::int32_t pipeline = 1;  ///< PP: layers are cut into stages
  std::int32_t data = 1;      ///< DP: every group of `tensor` ranks holds all attention and serves sequences of its own
  std::int32_t expert = 1;    ///< EP: routed experts are dealt out whole
  /// EP alone ("EP32"): a unit of many ranks, each with all but the routed experts, and copies of hot experts on top.
  bool is_expert_unit = false;
  std::int32_t redundant_experts = 0;  ///< copies on top, per layer; expert units only

  std::int32_t ranks() const { return is_expert_unit ? expert : tensor * pipeline * data; }
  /// Ranks or groups of ranks that hold KV caches of their own.
  std::int32_t attention_groups() const { return is_expert_unit ? expert : data; }
  /// "TP8" | "TP8+PP2" | "DP8+EP8" | "EP32+R32"
  std::string to_string() const;
  bool operator==(const Layout&) const = default;
};

/// Parts joined by '+', each once, case ignored: TPn, PPn, DPn, EPn, Rn. DP needs EP = DP x TP when the model has
/// experts (check_layout); EP alone is an expert unit. Fails: invalid_argument/bad_layout; the message shows the forms.
Result<Layout> parse_layout(std::string_view text);

/// Whether the model can be cut that way: TP divides the heads, EP deals the experts out evenly, PP leaves no stage
/// empty. An expert unit without a number of redundant experts is given one in eight. Returns the completed layout.
/// Fails: invalid_argument/layout_not_allowed with the limit and what would be allowed.
Result<Layout> check_layout(const ModelShape& shape, Layout layout);

/// Every layout worth trying, fewest ranks first: TP, TP+PP, DP+EP and expert units of powers of two up to `ranks_max`,
/// as far as check_layout allows.
std::vector<Layout> candidate_layouts(const ModelShape& shape, std::int32_t ranks_max = 64);

}  // namespace tidegate::scheduler
