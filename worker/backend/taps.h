#pragma once

#include <cstdint>
#include <string_view>

namespace tidegate::worker {

/// Receives intermediate results of a forward pass, for verification: "embed", "attn", "ffn" (residual after
/// the block's half), "router_idx", "router_w" (best expert first), "final_norm", "logits" (every row). While
/// a sink is set, final norm and head run on every row.
class TapSink {
 public:
  virtual ~TapSink() = default;
  /// `layer` is -1 for taps without one. `data` is [rows][columns], valid during the call only.
  virtual void tap(std::string_view name, std::int32_t layer, std::int64_t rows, std::int64_t columns,
                   const float* data) = 0;
};

}  // namespace tidegate::worker
