#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/accelerator.h"
#include "scheduler/core/layout.h"
#include "scheduler/core/model_shape.h"

/// Does it fit, and what does it hold? Per rank:
///   weights + KV + slack <= utilisation x memory
/// with TP every rank has 1/TP of the weights; a latent cache is NOT cut by TP (all ranks hold the same copy), grouped
/// keys are, down to one head. With DP every group holds attention, embedding and head, shares the rest, and has its
/// own cache. An expert unit's rank holds all but the routed experts, and its share of those. Router and norms of an
/// expert unit (0.2 GiB of V3) and activations live in the slack. Figures are those of a plan: a running engine tells
/// its own.
namespace tidegate::scheduler {

struct FitOptions {
  std::int32_t utilisation_permille = 900;           ///< of the memory that is ours; 1 to 1000
  std::int64_t slack_bytes = std::int64_t{4} << 30;  ///< activations, graphs, communication buffers
  KvPrecision kv = KvPrecision::kBf16;
  bool with_draft = false;   ///< the multi-token prediction layers are loaded too
  std::int64_t context = 0;  ///< that must be possible; 0 = whatever comes out
};

struct Fit {
  Layout layout;
  std::int32_t ranks = 1;
  std::int64_t weights_bytes = 0;  ///< of the whole model, one copy
  std::int64_t weights_bytes_per_rank =
      0;                                   ///< of the fullest rank; whole units of 512 bytes, as device allocators give
  std::int64_t budget_bytes_per_rank = 0;  ///< utilisation x memory, less slack
  std::int64_t kv_bytes_per_rank = 0;      ///< what the weights leave of it
  std::int64_t kv_bytes_per_token = 0;     ///< of the whole model
  std::int64_t kv_bytes_per_token_rank = 0;  ///< on the fullest rank
  /// Tokens that fit where a sequence lives: one rank's cache with TP, one group's with DP. The newest token of a
  /// sequence has no entry yet, so k entries carry k + 1 tokens.
  std::int64_t kv_tokens_per_group = 0;
  std::int64_t kv_tokens = 0;         ///< of the replica: all groups together
  std::int64_t context_max = 0;       ///< longest sequence: the group's cache or the model's own limit
  std::int64_t concurrency = 0;       ///< sequences of FitOptions::context (or context_max) at once
  std::int32_t experts_per_rank = 0;  ///< expert units and DP: whole routed experts per layer on each rank; else 0
  std::vector<std::string> notes;     ///< what a person should know, a sentence each
};

/// The shape has passed check_shape. `model_context_max` in tokens.
/// Fails: invalid_argument/{layout_not_allowed, out_of_range}; failed_precondition/{unknown_memory, does_not_fit,
/// context_too_long}: the message says what is missing and names the nearest layout that fits, if there is one.
Result<Fit> fit(const ModelShape& shape, Precision precision, const Layout& layout, const AcceleratorKind& accelerator,
                std::int64_t model_context_max, const FitOptions& options = {});

/// The layout that fits with the number of ranks nearest to `ranks` (a ratio: 4 is as near to 8 as 16); among equals
/// the one with the most KV. Fails: not_found/nothing_fits.
Result<Fit> nearest_fit(const ModelShape& shape, Precision precision, std::int32_t ranks,
                        const AcceleratorKind& accelerator, std::int64_t model_context_max,
                        const FitOptions& options = {});

/// Memory of our own CPU engine, as a worker is started: options `sequences_max` and `kv.mib`.
struct CpuEngineMemory {
  std::int32_t sequences_max = 16;
  std::int64_t kv_bytes_max = std::int64_t{1} << 30;
};
/// KV capacity the CPU engine will report: blocks of 64 tokens in F32, as many as all sequences need at full context or
/// as the memory allows. Must follow worker/engine/open_engine.cc; tests/unit/scheduler/fit holds the two together.
std::int64_t predicted_kv_tokens(const ModelShape& shape, std::int64_t model_context_max,
                                 const CpuEngineMemory& memory);

}  // namespace tidegate::scheduler
