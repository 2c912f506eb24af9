#include "worker/convert/tensor_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/core/check.h"
#include "worker/format/encode.h"
#include "worker/model/gguf_tensors.h"
#include "worker/model/rope.h"

namespace tidegate::worker {
namespace {

constexpr std::int64_t kQuantBlock = 32;

std::unexpected<Error> no_tensor_form(std::string message) {
  return fail(Code::kInvalidArgument, "bad_conversion", std::move(message), "format");
}

Dtype dtype_of(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return Dtype::kF32;
    case Precision::kBf16:
      return Dtype::kBf16;
    case Precision::kFp8:
      return Dtype::kF8E4m3;
    case Precision::kQ8_0:
      return Dtype::kQ8_0;
    case Precision::kQ4_0:
      return Dtype::kQ4_0;
  }
  return Dtype::kF32;
}

bool is_router(std::string_view name) { return name.ends_with("mlp.gate.weight"); }

/// What DeepSeek's own FP8 files keep in BF16 beside the norms and routers.
bool is_kept_wide(std::string_view name) {
  return name == "lm_head.weight" || name.ends_with("embed_tokens.weight") || name.ends_with("shared_head.head.weight") ||
         name.ends_with("eh_proj.weight");
}

Dtype safetensors_dtype(const PlannedWeight& weight, Dtype source, Precision precision) {
  const bool is_small = weight.kind != WeightKind::kMatrix && weight.kind != WeightKind::kTable;
  if (weight.kind == WeightKind::kRouterBias || precision == Precision::kF32) return Dtype::kF32;
  if (is_small || is_router(weight.name)) return source == Dtype::kBf16 ? Dtype::kBf16 : Dtype::kF32;
  if (is_kept_wide(weight.name)) return Dtype::kBf16;
  return dtype_of(precision);
}

/// Of a matrix; `columns` is what one row holds.
Dtype gguf_matrix_dtype(Precision precision, bool is_head, std::int64_t columns) {
  const Dtype wanted = is_head && precision == Precision::kQ4_0 ? Dtype::kQ8_0 : dtype_of(precision);
  return is_quantised(wanted) && columns % kQuantBlock != 0 ? Dtype::kBf16 : wanted;
}

/// llama.cpp computes with these in F32 and wants them stored so.
Dtype gguf_dtype(const PlannedWeight& weight, Precision precision) {
  if ((weight.kind != WeightKind::kMatrix && weight.kind != WeightKind::kTable) || is_router(weight.name)) return Dtype::kF32;
  const bool is_head = weight.name == "lm_head.weight" || weight.name == "model.embed_tokens.weight";
  return gguf_matrix_dtype(precision, is_head, weight.shape.back());
}

const TensorView& view_of(const ModelFiles& source, const std::string& name) {
  const TensorView* view = source.checkpoint.find(name);
  TG_CHECK(view != nullptr);
  return *view;
}

const TensorView* scale_of(const ModelFiles& source, const std::string& name) {
  return source.checkpoint.find(name + std::string(kScaleSuffix));
}

ReadRows reader_of(const ModelFiles& source, const std::string& name) {
  const TensorView& view = view_of(source, name);
  return rows_of(view, view.dtype == Dtype::kF8E4m3 ? scale_of(source, name) : nullptr);
}

OutputTensor copied(StoredTensor stored, std::span<const std::byte> bytes) {
  OutputTensor out{.stored = std::move(stored), .source = TensorSource::kCopy, .rows = {}, .copy = {}};
  out.copy.push_back(bytes);
  return out;
}

OutputTensor encoded(StoredTensor stored, ReadRows rows) {
  return {.stored = std::move(stored), .source = TensorSource::kRows, .rows = std::move(rows), .copy = {}};
}

/// Whether rows of q or k stand in another order in GGUF files of this class.
bool has_pairs(const PlannedWeight& weight, const ModelSpec& spec) {
  return gguf_reorders_pairs(spec.architecture) &&
         (weight.name.ends_with("self_attn.q_proj.weight") || weight.name.ends_with("self_attn.k_proj.weight"));
}

StoredTensor scale_tensor(const PlannedWeight& weight) {
  const auto tiles = [](std::int64_t n) { return (n + kFp8Tile - 1) / kFp8Tile; };
  return {weight.name + std::string(kScaleSuffix), Dtype::kF32, {tiles(weight.shape[0]), tiles(weight.shape[1])}};
}

}  // namespace

bool is_gguf(const ModelFiles& source) { return !source.checkpoint.gguf_files().empty(); }

Result<TensorPlan> plan_safetensors(const ModelFiles& source, const WeightPlan& weights, Precision precision) {
  const ModelSpec& spec = source.spec;
  if (!spec.rope_divisors.empty()) {
    return no_tensor_form(
        "the source keeps its rope scaling as divisors (rope_freqs.weight), which a config.json has no words for; "
        "use --format gguf");
  }
  TensorPlan plan;
  for (const PlannedWeight& weight : weights.weights) {
    const TensorView& view = view_of(source, weight.name);
    const Dtype dtype = safetensors_dtype(weight, view.dtype, precision);
    const StoredTensor stored{weight.name, dtype, weight.shape};
    const bool is_reordered = is_gguf(source) && has_pairs(weight, spec);
    if (dtype == view.dtype && !is_reordered) {
      plan.tensors.push_back(copied(stored, view.bytes));
      if (dtype == Dtype::kF8E4m3) {
        plan.tensors.push_back(copied(scale_tensor(weight), scale_of(source, weight.name)->bytes));
      }
      continue;
    }
    ReadRows rows = reader_of(source, weight.name);
    if (is_reordered) {
      rows = reordered_pairs(std::move(rows), spec.query_head_dim(), weight.shape.back(), PairOrder::kToHalves);
    }
    plan.tensors.push_back(encoded(stored, std::move(rows)));
    if (dtype == Dtype::kF8E4m3) {
      plan.tensors.push_back({.stored = scale_tensor(weight), .source = TensorSource::kScales, .rows = {}, .copy = {}});
    }
  }
  return plan;
}

namespace {

/// Tensors of one layer or of the model, from a Hugging Face checkpoint.
class GgufPlanner {
 public:
  GgufPlanner(const ModelFiles& source, Precision precision, TensorPlan& plan)
      : source_(source), spec_(source.spec), precision_(precision), plan_(plan) {}

  Status add(const PlannedWeight& weight) {
    if (weight.name.ends_with("self_attn.kv_b_proj.weight")) return add_halves(weight);
    const auto name = gguf_tensor_name(weight.name);
    if (!name) return no_tensor_form(fmt::format("GGUF has no name for tensor '{}'", weight.name));
    if (weight.name.find(".mlp.experts.") != std::string::npos) return add_expert(*name, weight);
    const TensorView& view = view_of(source_, weight.name);
    const StoredTensor stored{*name, gguf_dtype(weight, precision_), weight.shape};
    if (has_pairs(weight, spec_)) {
      plan_.tensors.push_back(encoded(stored, reordered_pairs(reader_of(source_, weight.name), spec_.query_head_dim(),
                                                              weight.shape.back(), PairOrder::kToNeighbours)));
    } else if (stored.dtype == view.dtype) {
      plan_.tensors.push_back(copied(stored, view.bytes));
    } else {
      plan_.tensors.push_back(encoded(stored, reader_of(source_, weight.name)));
    }
    return {};
  }

  /// Llama 3.1's rule as llama.cpp takes it: what each frequency is divided by.
  void add_rope_divisors() {
    if (!spec_.llama3) return;
    ModelSpec plain = spec_;
    plain.llama3.reset();
    const std::vector<double> base = rope_frequencies(plain);
    const std::vector<double> scaled = rope_frequencies(spec_);
    std::vector<float> divisors;
    for (std::size_t i = 0; i < base.size(); ++i) divisors.push_back(static_cast<float>(base[i] / scaled[i]));
    const auto count = static_cast<std::int64_t>(divisors.size());
    plan_.tensors.push_back(encoded({std::string(kGgufRopeDivisors), Dtype::kF32, {count}},
                                    [divisors](std::int64_t, std::int64_t, float* out) {
                                      std::copy(divisors.begin(), divisors.end(), out);
                                    }));
  }

 private:
  /// The whole stack with its first expert; the others are in it.
  Status add_expert(const std::string& name, const PlannedWeight& weight) {
    constexpr std::string_view kMark = ".mlp.experts.";
    const std::size_t mark = weight.name.find(kMark) + kMark.size();
    const std::size_t dot = weight.name.find('.', mark);
    if (weight.name.substr(mark, dot - mark) != "0") return {};
    const std::int64_t experts = spec_.moe.experts;
    const StoredTensor stored{name, gguf_dtype(weight, precision_), {experts, weight.shape[0], weight.shape[1]}};
    OutputTensor as_is{.stored = stored, .source = TensorSource::kCopy, .rows = {}, .copy = {}};
    std::vector<ReadRows> parts;
    bool is_same = true;
    for (std::int64_t e = 0; e < experts; ++e) {
      const std::string one = fmt::format("{}{}{}", weight.name.substr(0, mark), e, weight.name.substr(dot));
      const TensorView& view = view_of(source_, one);
      is_same = is_same && view.dtype == stored.dtype;
      as_is.copy.push_back(view.bytes);
      parts.push_back(reader_of(source_, one));
    }
    plan_.tensors.push_back(is_same ? std::move(as_is)
                                    : encoded(stored, stacked(std::move(parts), weight.shape[0], weight.shape[1])));
    return {};
  }

  Status add_halves(const PlannedWeight& weight) {
    const std::string layer = weight.name.substr(0, weight.name.find("self_attn."));  // "model.layers.N."
    const std::string block = "blk." + layer.substr(std::string_view("model.layers.").size());
    const KvBShape shape{spec_.nope_dim, spec_.value_dim, spec_.kv_lora_rank};
    const std::int64_t heads = spec_.heads;
    plan_.tensors.push_back(encoded({block + std::string(kGgufKeyHalf), gguf_matrix_dtype(precision_, false, shape.nope),
                                     {heads, shape.latent, shape.nope}},
                                    key_half(reader_of(source_, weight.name), shape)));
    plan_.tensors.push_back(encoded({block + std::string(kGgufValueHalf), gguf_matrix_dtype(precision_, false, shape.latent),
                                     {heads, shape.value, shape.latent}},
                                    value_half(reader_of(source_, weight.name), shape)));
    return {};
  }

  const ModelFiles& source_;
  const ModelSpec& spec_;
  const Precision precision_;
  TensorPlan& plan_;
};

}  // namespace

Result<TensorPlan> plan_gguf(const ModelFiles& source, const WeightPlan& weights, Precision precision) {
  TensorPlan plan;
  GgufPlanner planner(source, precision, plan);
  for (const PlannedWeight& weight : weights.weights) {
    if (!is_of_the_draft(weight.name, source.spec, weights)) TG_TRY(planner.add(weight));
  }
  planner.add_rope_divisors();
  if (weights.mtp_layers > 0) plan.notes.emplace_back("the draft layer is left out: GGUF files have none");
  for (const OutputTensor& tensor : plan.tensors) {
    const bool is_wide = tensor.stored.dtype == Dtype::kBf16 && is_quantised(dtype_of(precision));
    if (is_wide) {
      plan.notes.push_back(fmt::format("'{}' is BF16: its rows of {} are not whole blocks of {}", tensor.stored.name,
                                       tensor.stored.shape.back(), kQuantBlock));
    }
  }
  return plan;
}

TensorPlan plan_gguf_again(const ModelFiles& source, Precision precision) {
  TensorPlan plan;
  for (const GgufFile& file : source.checkpoint.gguf_files()) {
    for (const auto& [name, view] : file.tensors()) {
      const bool is_small = view.shape.size() < 2 || name.find("ffn_gate_inp.") != std::string::npos;
      const bool is_head = name == "output.weight" || name == "token_embd.weight";
      const Dtype dtype = is_small ? Dtype::kF32 : gguf_matrix_dtype(precision, is_head, view.shape.back());
      const StoredTensor stored{name, dtype, view.shape};
      plan.tensors.push_back(dtype == view.dtype ? copied(stored, view.bytes) : encoded(stored, rows_of(view, nullptr)));
    }
  }
  return plan;
}

}  // namespace tidegate::worker
