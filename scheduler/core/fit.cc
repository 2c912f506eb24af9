#include "scheduler/core/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr std::int64_t kAllocationBytes = 512;  // what device allocators round to
constexpr std::int64_t kSlackBytesMax = std::int64_t{1} << 40;
constexpr std::int64_t kContextMax = 1 << 24;
constexpr std::int64_t kMemoryBytesMax = std::int64_t{1} << 46;
// Weights of an e4m3 matrix that one 4-byte scale covers, over the scale's bytes.
constexpr std::int64_t kWeightsPerScaleByte = 128 * 128 / 4;

std::string gib(std::int64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30)); }

/// One kind of rank: what it must hold.
struct RankLoad {
  std::int64_t weights = 0;
  std::int64_t kv_per_token = 0;
};

// Matrices only, without their scales: those are few and are counted with what is shared.
std::int64_t matrix_bytes(const PartSizes& part, Precision precision) {
  return precision == Precision::kFp8Block ? part.parameters : part.bytes;
}

// Tokens of a rank's cache that TP cannot make smaller: a latent belongs to all heads; a grouped key to its own.
std::int64_t kv_of_rank(const ModelShape& shape, std::int64_t kv_per_token, std::int32_t tensor) {
  if (shape.is_latent()) return kv_per_token;
  return kv_per_token / shape.kv_heads * divide_up(shape.kv_heads, tensor);
}

RankLoad expert_unit_load(const ModelShape& shape, Precision precision, const ModelSizes& sizes, std::int64_t kv,
                          std::int64_t experts_per_rank, bool with_draft) {
  std::int64_t copied = 0;
  std::int64_t scaled = 0;
  for (const PartSizes& part : {sizes.attention, sizes.dense_ffn, sizes.shared_experts}) {
    copied += matrix_bytes(part, precision);
    scaled += part.parameters;
  }
  if (precision == Precision::kFp8Block) copied += divide_up(scaled, kWeightsPerScaleByte);
  std::int64_t layers = shape.moe_layers();
  if (with_draft) {
    layers += shape.mtp_layers;
    copied += sizes.draft.bytes - sizes.expert.bytes * shape.experts * shape.mtp_layers;
  }
  return {.weights = copied + sizes.tables.bytes + layers * experts_per_rank * sizes.expert.bytes, .kv_per_token = kv};
}

RankLoad sharded_load(const ModelShape& shape, Precision precision, const ModelSizes& sizes, std::int64_t kv,
                      const Layout& layout, std::int64_t all_bytes) {
  const std::int64_t kv_rank = kv_of_rank(shape, kv, layout.tensor);
  if (layout.data == 1) return {.weights = divide_up(all_bytes, layout.tensor), .kv_per_token = kv_rank};
  const std::int64_t copied = matrix_bytes(sizes.attention, precision) + sizes.tables.bytes;
  return {.weights = divide_up(copied, layout.tensor) + divide_up(all_bytes - copied, layout.ranks()),
          .kv_per_token = kv_rank};
}

// Stages hold whole layers, earlier ones the odd ones; the first has the embedding, the last the head and the draft.
std::vector<RankLoad> stage_loads(const ModelShape& shape, const ModelSizes& sizes, std::int64_t kv,
                                  const Layout& layout, bool with_draft) {
  const std::int64_t per_layer = divide_up(sizes.attention.bytes + sizes.norms.bytes, shape.layers);
  const std::int64_t dense = shape.dense_layers() > 0 ? divide_up(sizes.dense_ffn.bytes, shape.dense_layers()) : 0;
  const std::int64_t moe =
      shape.moe_layers() > 0
          ? divide_up(sizes.routed_experts.bytes + sizes.shared_experts.bytes + sizes.router.bytes, shape.moe_layers())
          : 0;
  const std::int64_t table = shape.tied_embeddings ? sizes.tables.bytes : sizes.tables.bytes / 2;
  std::vector<RankLoad> loads;
  std::int32_t first = 0;
  for (std::int32_t stage = 0; stage < layout.pipeline; ++stage) {
    const std::int32_t layers = shape.layers / layout.pipeline + (stage < shape.layers % layout.pipeline ? 1 : 0);
    const std::int32_t dense_here = std::clamp(shape.dense_layers() - first, 0, layers);
    const bool is_last = stage == layout.pipeline - 1;
    std::int64_t bytes = layers * per_layer + dense_here * dense + (layers - dense_here) * moe;
    std::int64_t caches = layers;
    if (stage == 0) bytes += table;
    if (is_last) bytes += table;
    if (is_last && with_draft) {
      bytes += sizes.draft.bytes;
      caches += shape.mtp_layers;
    }
    const std::int64_t kv_stage = kv / (shape.layers + (with_draft ? shape.mtp_layers : 0)) * caches;
    loads.push_back(
        {.weights = divide_up(bytes, layout.tensor), .kv_per_token = kv_of_rank(shape, kv_stage, layout.tensor)});
    first += layers;
  }
  return loads;
}

Status check_fit_range(std::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return fail(Code::kInvalidArgument, "out_of_range",
              fmt::format("{} must be {} to {}, not {}", field, low, high, value), std::string(field));
}

Status check_options(const FitOptions& options, const ModelShape& shape, std::int64_t model_context_max) {
  TG_TRY(check_fit_range("utilisation", options.utilisation_permille, 1, 1000));
  TG_TRY(check_fit_range("slack", options.slack_bytes, 0, kSlackBytesMax));
  TG_TRY(check_fit_range("context", options.context, 0, kContextMax));
  TG_TRY(check_fit_range("context_max", model_context_max, 1, kContextMax));
  if (options.with_draft && shape.mtp_layers == 0) {
    return fail(Code::kInvalidArgument, "no_draft", "the model has no draft layers (num_nextn_predict_layers)",
                "draft");
  }
  return {};
}

void write_notes(Fit& fit, const ModelShape& shape, Precision precision) {
  const Layout& layout = fit.layout;
  if (shape.is_latent() && layout.tensor > 1) {
    fit.notes.push_back(
        fmt::format("TP{} keeps {} copies of the latent cache; DP attention keeps one", layout.tensor, layout.tensor));
  }
  if (!shape.is_latent() && layout.tensor > shape.kv_heads) {
    fit.notes.push_back(fmt::format("TP{} is wider than the {} key heads: each is cached {} times", layout.tensor,
                                    shape.kv_heads, divide_up(layout.tensor, shape.kv_heads)));
  }
  const bool cuts_blocks = precision == Precision::kFp8Block && shape.is_moe() && layout.expert == 1 &&
                           layout.tensor > 1 && shape.moe_intermediate % (128 * layout.tensor) != 0;
  if (cuts_blocks) {
    fit.notes.push_back(
        fmt::format("TP{} cuts experts of width {} inside their FP8 blocks of 128; an engine may want EP instead",
                    layout.tensor, shape.moe_intermediate));
  }
}

/// What one layout gives, whether or not it is enough. Arguments are checked.
Fit measure(const ModelShape& shape, Precision precision, const Layout& layout, std::int64_t memory_bytes,
            std::int64_t model_context_max, const FitOptions& options) {
  const ModelSizes sizes = model_sizes(shape, precision);
  const std::int64_t all_bytes = sizes.bytes() + (options.with_draft ? sizes.draft.bytes : 0);
  const std::int64_t cached_layers = shape.layers + (options.with_draft ? shape.mtp_layers : 0);
  const std::int64_t kv = kv_bytes_per_token(shape, options.kv) / shape.layers * cached_layers;
  Fit out;
  out.layout = layout;
  out.ranks = layout.ranks();
  out.weights_bytes = all_bytes;
  out.kv_bytes_per_token = kv;
  out.budget_bytes_per_rank = memory_bytes * options.utilisation_permille / 1000 - options.slack_bytes;
  std::vector<RankLoad> loads;
  if (layout.is_expert_unit) {
    out.experts_per_rank =
        static_cast<std::int32_t>(divide_up(shape.experts + layout.redundant_experts, layout.expert));
    loads.push_back(expert_unit_load(shape, precision, sizes, kv, out.experts_per_rank, options.with_draft));
  } else if (layout.pipeline > 1) {
    loads = stage_loads(shape, sizes, kv, layout, options.with_draft);
  } else {
    if (layout.expert > 1) out.experts_per_rank = shape.experts / layout.expert;
    loads.push_back(sharded_load(shape, precision, sizes, kv, layout, all_bytes));
  }
  // The stage that holds the fewest tokens decides; one that does not even hold its weights before all.
  std::optional<double> least;
  for (const RankLoad& load : loads) {
    const std::int64_t weights = divide_up(load.weights, kAllocationBytes) * kAllocationBytes;
    const std::int64_t room = out.budget_bytes_per_rank - weights;
    const double tokens = static_cast<double>(room) / static_cast<double>(load.kv_per_token);
    if (least && tokens >= *least) continue;
    least = tokens;
    out.weights_bytes_per_rank = weights;
    out.kv_bytes_per_rank = room;
    out.kv_bytes_per_token_rank = load.kv_per_token;
  }
  if (out.kv_bytes_per_rank < out.kv_bytes_per_token_rank) return out;
  out.kv_tokens_per_group = out.kv_bytes_per_rank / out.kv_bytes_per_token_rank + 1;
  out.kv_tokens = layout.attention_groups() * out.kv_bytes_per_rank / out.kv_bytes_per_token_rank + 1;
  out.context_max = std::min(out.kv_tokens_per_group, model_context_max);
  const std::int64_t each = options.context > 0 ? options.context : out.context_max;
  out.concurrency = out.kv_tokens_per_group / each * layout.attention_groups();
  write_notes(out, shape, precision);
  return out;
}

bool is_enough(const Fit& fit, const FitOptions& options) {
  return fit.kv_tokens > 0 && fit.context_max >= options.context;
}

/// How far two numbers of ranks are apart, as a ratio.
double distance(std::int32_t a, std::int32_t b) {
  return std::abs(std::log2(static_cast<double>(a) / static_cast<double>(b)));
}

std::optional<Fit> find_nearest(const ModelShape& shape, Precision precision, std::int32_t ranks,
                                std::int64_t memory_bytes, std::int64_t model_context_max, const FitOptions& options) {
  std::optional<Fit> best;
  for (const Layout& layout : candidate_layouts(shape)) {
    Fit found = measure(shape, precision, layout, memory_bytes, model_context_max, options);
    if (!is_enough(found, options)) continue;
    const bool is_better = !best || distance(found.ranks, ranks) < distance(best->ranks, ranks) ||
                           (found.ranks == best->ranks && found.kv_tokens > best->kv_tokens);
    if (is_better) best = std::move(found);
  }
  return best;
}

std::string nearest_words(const std::optional<Fit>& nearest) {
  if (!nearest) return "no layout of up to 64 of them fits";
  return fmt::format("the nearest that fits is {} ({} accelerator{}, {} tokens of KV)", nearest->layout.to_string(),
                     nearest->ranks, nearest->ranks == 1 ? "" : "s", nearest->kv_tokens);
}

Status check_memory(const AcceleratorKind& accelerator) {
  if (accelerator.memory_bytes >= 1 && accelerator.memory_bytes <= kMemoryBytesMax) return {};
  return fail(
      Code::kFailedPrecondition, "unknown_memory",
      fmt::format("the memory of '{}' is not known; give its memory_gib in models/accelerators", accelerator.name),
      "accelerator");
}

std::unexpected<Error> does_not_fit(const Fit& tried, const AcceleratorKind& accelerator, const FitOptions& options,
                                    const std::optional<Fit>& nearest) {
  const std::int64_t missing = tried.kv_bytes_per_token_rank - tried.kv_bytes_per_rank;
  return fail(
      Code::kFailedPrecondition, "does_not_fit",
      fmt::format("{} on {} x {}: weights take {} of each, {} are usable ({:.1f} % of {} less {} slack), so {} each "
                  "are missing; {}",
                  tried.layout.to_string(), tried.ranks, accelerator.name, gib(tried.weights_bytes_per_rank),
                  gib(tried.budget_bytes_per_rank), options.utilisation_permille / 10.0, gib(accelerator.memory_bytes),
                  gib(options.slack_bytes), gib(missing), nearest_words(nearest)),
      "layout");
}

}  // namespace

Result<Fit> fit(const ModelShape& shape, Precision precision, const Layout& layout, const AcceleratorKind& accelerator,
                std::int64_t model_context_max, const FitOptions& options) {
  TG_TRY(check_options(options, shape, model_context_max));
  TG_TRY(check_memory(accelerator));
  TG_ASSIGN(const Layout checked, check_layout(shape, layout));
  if (options.context > model_context_max) {
    return fail(Code::kFailedPrecondition, "context_too_long",
                fmt::format("the model itself ends at {} tokens; ask for a context of at most that", model_context_max),
                "context");
  }
  Fit found = measure(shape, precision, checked, accelerator.memory_bytes, model_context_max, options);
  if (is_enough(found, options)) return found;
  const auto nearest =
      find_nearest(shape, precision, found.ranks, accelerator.memory_bytes, model_context_max, options);
  if (found.kv_tokens == 0) return does_not_fit(found, accelerator, options, nearest);
  return fail(Code::kFailedPrecondition, "context_too_long",
              fmt::format("{} on {} x {} holds a context of {} tokens, {} fewer than asked for; {}",
                          checked.to_string(), found.ranks, accelerator.name, found.context_max,
                          options.context - found.context_max, nearest_words(nearest)),
              "context");
}

Result<Fit> nearest_fit(const ModelShape& shape, Precision precision, std::int32_t ranks,
                        const AcceleratorKind& accelerator, std::int64_t model_context_max, const FitOptions& options) {
  TG_TRY(check_options(options, shape, model_context_max));
  TG_TRY(check_memory(accelerator));
  TG_TRY(check_fit_range("ranks", ranks, 1, kRanksMax));
  auto nearest = find_nearest(shape, precision, ranks, accelerator.memory_bytes, model_context_max, options);
  if (nearest) return *std::move(nearest);
  return fail(Code::kNotFound, "nothing_fits",
              fmt::format("no layout of up to 64 x {} holds the weights and a context of {} tokens", accelerator.name,
                          std::max<std::int64_t>(1, options.context)),
              "accelerator");
}

std::int64_t predicted_kv_tokens(const ModelShape& shape, std::int64_t model_context_max,
                                 const CpuEngineMemory& memory) {
  constexpr std::int64_t kBlockTokens = 64;
  constexpr std::int64_t kBlocksMax = 1 << 28;
  const std::int64_t useful = memory.sequences_max * divide_up(model_context_max, kBlockTokens);
  const std::int64_t block_bytes =
      std::max<std::int64_t>(1, kv_bytes_per_token(shape, KvPrecision::kF32)) * kBlockTokens;
  const std::int64_t blocks = std::min(useful, memory.kv_bytes_max / block_bytes);
  return std::clamp<std::int64_t>(blocks, 0, kBlocksMax) * kBlockTokens;
}

}  // namespace tidegate::scheduler
