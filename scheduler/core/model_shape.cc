#include "scheduler/core/model_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <string>

namespace tidegate::scheduler {

namespace {

// Far above any released model, low enough that every sum of products below fits in int64.
constexpr std::int32_t kLayersMax = 1024;
constexpr std::int32_t kHiddenMax = 65'536;
constexpr std::int32_t kVocabMax = 1 << 22;
constexpr std::int32_t kHeadsMax = 1024;
constexpr std::int32_t kHeadDimMax = 4096;
constexpr std::int32_t kRankMax = 16'384;
constexpr std::int32_t kIntermediateMax = 1 << 20;
constexpr std::int32_t kExpertsMax = 4096;
constexpr std::int32_t kMtpLayersMax = 8;
constexpr std::int64_t kParametersMax = std::int64_t{1} << 50;

constexpr std::int64_t kScaleBlock = 128;
constexpr std::int64_t kScaleBytes = 4;

struct PrecisionName {
  Precision precision;
  std::string_view name;
};
constexpr std::array<PrecisionName, 4> kPrecisions = {{{Precision::kBf16, "bf16"},
                                                       {Precision::kFp8, "fp8"},
                                                       {Precision::kFp8Block, "fp8_e4m3_128x128"},
                                                       {Precision::kInt4, "int4_g128"}}};

/// Counts tensors of one precision.
class Tally {
 public:
  explicit Tally(Precision precision) : precision_(precision) {}

  Tally& matrix(std::int64_t rows, std::int64_t columns) {
    const std::int64_t weights = rows * columns;
    const bool has_scales = precision_ == Precision::kFp8Block;
    const std::int64_t scales =
        has_scales ? divide_up(rows, kScaleBlock) * divide_up(columns, kScaleBlock) * kScaleBytes : 0;
    sizes_.parameters += weights;
    sizes_.bytes += plain(weights) + scales;
    return *this;
  }
  /// Norms, biases, tables and routers: BF16 in the block format, which quantises matrices only.
  Tally& unscaled(std::int64_t weights, std::int64_t bytes_in_block_format = 2) {
    sizes_.parameters += weights;
    sizes_.bytes += precision_ == Precision::kFp8Block ? bytes_in_block_format * weights : plain(weights);
    return *this;
  }
  PartSizes times(std::int64_t count) const { return {sizes_.parameters * count, sizes_.bytes * count}; }

 private:
  std::int64_t plain(std::int64_t weights) const {
    switch (precision_) {
      case Precision::kBf16:
        return 2 * weights;
      case Precision::kFp8:
      case Precision::kFp8Block:
        return weights;
      case Precision::kInt4:
        return divide_up(133 * weights, 256);  // (128 x 4 + 16 + 4) bits a group of 128
    }
    return 0;
  }

  Precision precision_;
  PartSizes sizes_;
};

Tally attention_of(const ModelShape& s, Precision precision) {
  Tally tally(precision);
  const std::int64_t hidden = s.hidden;
  const std::int64_t heads = s.heads;
  if (!s.is_latent()) {
    const std::int64_t query = heads * s.head_dim;
    const std::int64_t key = std::int64_t{s.kv_heads} * s.head_dim;
    tally.matrix(query, hidden).matrix(key, hidden).matrix(key, hidden).matrix(hidden, query);
    if (s.qkv_bias) tally.unscaled(query + 2 * key);
    if (s.qk_norm) tally.unscaled(2 * std::int64_t{s.head_dim});
    return tally;
  }
  const std::int64_t query = heads * (s.nope_dim + s.rope_dim);
  if (s.q_lora_rank > 0) {
    tally.matrix(s.q_lora_rank, hidden).unscaled(s.q_lora_rank).matrix(query, s.q_lora_rank);
  } else {
    tally.matrix(query, hidden);
  }
  tally.matrix(s.kv_lora_rank + s.rope_dim, hidden).unscaled(s.kv_lora_rank);
  tally.matrix(heads * (s.nope_dim + s.value_dim), s.kv_lora_rank).matrix(hidden, heads * s.value_dim);
  if (s.index_heads > 0) {
    tally.matrix(std::int64_t{s.index_heads} * s.index_head_dim, s.q_lora_rank).matrix(s.index_head_dim, hidden);
    tally.unscaled(2 * std::int64_t{s.index_head_dim}).unscaled(std::int64_t{s.index_heads} * hidden, 4);
  }
  return tally;
}

Tally feed_forward(std::int64_t hidden, std::int64_t intermediate, Precision precision) {
  Tally tally(precision);
  tally.matrix(intermediate, hidden).matrix(intermediate, hidden).matrix(hidden, intermediate);
  return tally;
}

Tally router_of(const ModelShape& s, Precision precision) {
  Tally tally(precision);
  tally.unscaled(std::int64_t{s.experts} * s.hidden);
  if (s.router_bias) tally.unscaled(s.experts, 4);
  return tally;
}

PartSizes& operator+=(PartSizes& to, const PartSizes& more) {
  to.parameters += more.parameters;
  to.bytes += more.bytes;
  return to;
}

// One draft layer: eh_proj, three norms of its own, and a decoder layer of the last kind.
PartSizes draft_layer(const ModelShape& s, const ModelSizes& sizes, Precision precision) {
  const std::int64_t hidden = s.hidden;
  PartSizes draft = Tally(precision).matrix(hidden, 2 * hidden).unscaled(5 * hidden).times(1);
  draft += attention_of(s, precision).times(1);
  if (!s.is_moe()) {
    draft += feed_forward(hidden, s.dense_intermediate, precision).times(1);
    return draft;
  }
  draft += PartSizes{sizes.expert.parameters * s.experts, sizes.expert.bytes * s.experts};
  draft += router_of(s, precision).times(1);
  if (s.shared_experts > 0) {
    draft += feed_forward(hidden, std::int64_t{s.shared_experts} * s.moe_intermediate, precision).times(1);
  }
  return draft;
}

std::unexpected<Error> bad(std::string_view field, std::string what) {
  return fail(Code::kInvalidArgument, "bad_shape", fmt::format("'{}' {}", field, what), std::string(field));
}

Status check_shape_range(std::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return bad(field, fmt::format("is {}; {} to {} is allowed", value, low, high));
}

Status check_attention(const ModelShape& s) {
  if (!s.is_latent()) {
    TG_TRY(check_shape_range("num_key_value_heads", s.kv_heads, 1, s.heads));
    TG_TRY(check_shape_range("head_dim", s.head_dim, 1, kHeadDimMax));
    if (s.heads % s.kv_heads != 0) return bad("num_key_value_heads", "does not divide num_attention_heads");
    if (s.q_lora_rank != 0) return bad("q_lora_rank", "is for latent attention, which kv_lora_rank turns on");
    if (s.index_heads != 0) return bad("index_n_heads", "is for latent attention, which kv_lora_rank turns on");
    return check_shape_range("index_head_dim", s.index_head_dim, 0, 0);
  }
  TG_TRY(check_shape_range("kv_lora_rank", s.kv_lora_rank, 1, kRankMax));
  TG_TRY(check_shape_range("q_lora_rank", s.q_lora_rank, 0, kRankMax));
  TG_TRY(check_shape_range("qk_nope_head_dim", s.nope_dim, 1, kHeadDimMax));
  TG_TRY(check_shape_range("qk_rope_head_dim", s.rope_dim, 1, kHeadDimMax));
  TG_TRY(check_shape_range("v_head_dim", s.value_dim, 1, kHeadDimMax));
  TG_TRY(check_shape_range("index_n_heads", s.index_heads, 0, kHeadsMax));
  TG_TRY(check_shape_range("index_head_dim", s.index_head_dim, s.index_heads > 0 ? 1 : 0, s.index_heads > 0 ? kHeadDimMax : 0));
  if (s.index_heads > 0 && s.q_lora_rank == 0)
    return bad("q_lora_rank", "must be set: the indexer reads the query's latent");
  return {};
}

}  // namespace

Status check_shape(const ModelShape& s) {
  TG_TRY(check_shape_range("num_hidden_layers", s.layers, 1, kLayersMax));
  TG_TRY(check_shape_range("hidden_size", s.hidden, 1, kHiddenMax));
  TG_TRY(check_shape_range("vocab_size", s.vocab, 1, kVocabMax));
  TG_TRY(check_shape_range("num_attention_heads", s.heads, 1, kHeadsMax));
  TG_TRY(check_attention(s));
  TG_TRY(check_shape_range("n_routed_experts", s.experts, 0, kExpertsMax));
  TG_TRY(check_shape_range("num_nextn_predict_layers", s.mtp_layers, 0, kMtpLayersMax));
  if (s.is_moe()) {
    TG_TRY(check_shape_range("num_experts_per_tok", s.experts_per_token, 1, s.experts));
    TG_TRY(check_shape_range("n_shared_experts", s.shared_experts, 0, 64));
    TG_TRY(check_shape_range("moe_intermediate_size", s.moe_intermediate, 1, kIntermediateMax));
    TG_TRY(check_shape_range("first_k_dense_replace", s.first_moe_layer, 0, s.layers));
  }
  TG_TRY(check_shape_range("intermediate_size", s.dense_intermediate, s.dense_layers() > 0 ? 1 : 0, kIntermediateMax));
  // The one product of many limits: layers x experts x hidden x intermediate. In floating point, since it may be huge.
  const double routed = 3.0 * s.moe_layers() * s.experts * static_cast<double>(s.hidden) * s.moe_intermediate;
  const double dense =
      static_cast<double>(s.layers) * s.hidden *
      (3.0 * s.dense_intermediate + 4.0 * s.heads * (s.head_dim + s.nope_dim + s.rope_dim + s.value_dim));
  if (routed + dense > static_cast<double>(kParametersMax)) {
    return bad("n_routed_experts", "and the other sizes make over 2^50 parameters");
  }
  return {};
}

Result<Precision> parse_precision(std::string_view text) {
  for (const PrecisionName& each : kPrecisions) {
    if (each.name == text) return each.precision;
  }
  std::array<std::string_view, kPrecisions.size()> names{};
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kPrecisions[i].name;
  return fail(Code::kInvalidArgument, "unknown_precision",
              fmt::format("'{}' is not a precision; one of {}", text, fmt::join(names, ", ")), "precision");
}

std::string_view precision_name(Precision precision) {
  for (const PrecisionName& each : kPrecisions) {
    if (each.precision == precision) return each.name;
  }
  return "";
}

Result<KvPrecision> parse_kv_precision(std::string_view text) {
  for (const KvPrecision precision : {KvPrecision::kBf16, KvPrecision::kFp8, KvPrecision::kF32}) {
    if (kv_precision_name(precision) == text) return precision;
  }
  return fail(Code::kInvalidArgument, "unknown_precision",
              fmt::format("'{}' is not a KV precision; one of bf16, fp8, f32", text), "kv");
}

std::string_view kv_precision_name(KvPrecision precision) {
  switch (precision) {
    case KvPrecision::kBf16:
      return "bf16";
    case KvPrecision::kFp8:
      return "fp8";
    case KvPrecision::kF32:
      return "f32";
  }
  return "";
}

std::int64_t ModelSizes::parameters() const {
  return attention.parameters + dense_ffn.parameters + shared_experts.parameters + routed_experts.parameters +
         router.parameters + norms.parameters + tables.parameters;
}

std::int64_t ModelSizes::bytes() const {
  return attention.bytes + dense_ffn.bytes + shared_experts.bytes + routed_experts.bytes + router.bytes + norms.bytes +
         tables.bytes;
}

ModelSizes model_sizes(const ModelShape& s, Precision precision) {
  const std::int64_t hidden = s.hidden;
  const std::int64_t moe_layers = s.moe_layers();
  ModelSizes sizes;
  sizes.attention = attention_of(s, precision).times(s.layers);
  if (s.dense_layers() > 0)
    sizes.dense_ffn = feed_forward(hidden, s.dense_intermediate, precision).times(s.dense_layers());
  if (moe_layers > 0) {
    sizes.expert = feed_forward(hidden, s.moe_intermediate, precision).times(1);
    sizes.routed_experts = {sizes.expert.parameters * s.experts * moe_layers,
                            sizes.expert.bytes * s.experts * moe_layers};
    sizes.router = router_of(s, precision).times(moe_layers);
    if (s.shared_experts > 0) {
      sizes.shared_experts =
          feed_forward(hidden, std::int64_t{s.shared_experts} * s.moe_intermediate, precision).times(moe_layers);
    }
  }
  sizes.norms = Tally(precision).unscaled((2 * std::int64_t{s.layers} + 1) * hidden).times(1);
  sizes.tables = Tally(precision).unscaled((s.tied_embeddings ? 1 : 2) * std::int64_t{s.vocab} * hidden).times(1);
  if (s.mtp_layers > 0) {
    const PartSizes one = draft_layer(s, sizes, precision);
    sizes.draft = {one.parameters * s.mtp_layers, one.bytes * s.mtp_layers};
  }
  sizes.active_parameters =
      sizes.parameters() - moe_layers * (s.experts - s.experts_per_token) * sizes.expert.parameters;
  return sizes;
}

std::int64_t kv_bytes_per_token(const ModelShape& s, KvPrecision precision) {
  std::int64_t width = 2;
  switch (precision) {
    case KvPrecision::kBf16:
      width = 2;
      break;
    case KvPrecision::kFp8:
      width = 1;
      break;
    case KvPrecision::kF32:
      width = 4;
      break;
  }
  const std::int64_t numbers =
      s.is_latent() ? std::int64_t{s.kv_lora_rank} + s.rope_dim : 2 * std::int64_t{s.kv_heads} * s.head_dim;
  const std::int64_t index = s.index_head_dim + divide_up(s.index_head_dim, kScaleBlock) * kScaleBytes;
  return s.layers * (numbers * width + index);
}

}  // namespace tidegate::scheduler
