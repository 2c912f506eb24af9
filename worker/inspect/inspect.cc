#include "worker/inspect/inspect.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <thread>
#include <utility>

#include "worker/backend/cpu/attention_block.h"
#include "worker/backend/cpu/weights.h"
#include "worker/format/mapped_file.h"
#include "worker/format/weight_manifest.h"
#include "worker/model/model_files.h"
#include "worker/model/weight_plan.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {
namespace {

std::int64_t machine_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? std::int64_t{pages} * page_bytes : 0;
}

std::int64_t elements_of(const PlannedWeight& weight) {
  std::int64_t product = 1;
  for (const std::int64_t size : weight.shape) product *= size;
  return product;
}

void count_parameters(const ModelSpec& spec, const WeightPlan& plan, Inspection& out) {
  std::int64_t routed = 0;
  std::int64_t always = 0;
  for (const PlannedWeight& weight : plan.weights) {
    const std::int64_t elements = elements_of(weight);
    if (is_of_the_draft(weight.name, spec, plan)) {
      out.draft_parameters += elements;
    } else if (weight.name.find(".mlp.experts.") != std::string::npos) {
      routed += elements;
    } else {
      always += elements;
    }
  }
  out.parameters = plan.parameters;
  out.active_parameters = always;
  // Experts of a model have one size, so this division leaves nothing.
  if (spec.moe.experts > 0) out.active_parameters += routed / spec.moe.experts * spec.moe.experts_per_token;
}

void count_types(const WeightPlan& plan, const Checkpoint& checkpoint, Inspection& out) {
  std::map<std::string, TypeShare, std::less<>> shares;
  for (const PlannedWeight& weight : plan.weights) {
    const TensorView& view = *checkpoint.find(weight.name);  // the plan has been held against it
    TypeShare& share = shares[std::string(dtype_name(view.dtype))];
    ++share.tensors;
    share.elements += view.elements();
    share.bytes += static_cast<std::int64_t>(view.bytes.size());
  }
  for (auto& [name, share] : shares) {
    share.dtype = name;
    out.types.push_back(std::move(share));
  }
  std::ranges::sort(out.types, [](const TypeShare& a, const TypeShare& b) { return a.bytes > b.bytes; });
}

void describe_text_side(const std::filesystem::path& path, const ModelSpec& spec, Inspection& out) {
  const std::filesystem::path folder = folder_of(path);
  std::error_code ignored;
  const bool has_file = std::filesystem::exists(folder / "tokenizer.json", ignored);
  const Result<Tokenizer> tokenizer = Tokenizer::load(has_file ? folder.string() : path.string());
  if (!tokenizer) {
    out.tokenizer.problem = tokenizer.error().message;
    out.chat.problem = "needs the tokenizer";
    out.cannot.push_back("answer in text: " + out.tokenizer.problem);
    return;
  }
  out.tokenizer.what = fmt::format("byte-level BPE, {} tokens in {} rows", tokenizer->vocab_limit(), spec.vocab);
  if (tokenizer->vocab_limit() > spec.vocab) {
    out.tokenizer.problem = fmt::format("{} tokens, but the model has {} rows", tokenizer->vocab_limit(), spec.vocab);
    out.cannot.push_back("answer in text: " + out.tokenizer.problem);
    return;
  }
  const Result<ChatTemplate> chat = ChatTemplate::load(folder.string(), *tokenizer);
  if (!chat) {
    out.chat.problem = chat.error().message;
    out.cannot.push_back("chat: " + out.chat.problem);
    return;
  }
  out.chat.what = std::string(name_of(chat->family()));
  out.can.emplace_back("chat");
  if (chat->can_call()) {
    out.can.emplace_back("tools");
  } else {
    out.cannot.push_back("tools: " + chat->cannot_call_because());
  }
  if (chat->think() >= 0) out.can.emplace_back("reasoning");
}

/// What a converter wrote beside the weights; "" without a manifest. Fails: as manifest_digest() does.
Result<std::string> digest_of_manifest(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "manifest.json", ignored)) return std::string();
  TG_ASSIGN(const MappedFile file, MappedFile::open(folder / "manifest.json"));
  const auto bytes = file.bytes();
  return manifest_digest({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

std::int64_t MemoryNeed::sequences_max() const {
  const std::int64_t each = kv_bytes_per_token * context;
  const std::int64_t left = available_bytes - weight_bytes - attention_bytes;
  return each <= 0 || left <= 0 ? 0 : left / each;
}

Result<Inspection> inspect_model(const std::filesystem::path& path, const InspectOptions& options) {
  TG_ASSIGN(const ModelFiles model, open_model_files(path));
  const ModelSpec& spec = model.spec;
  TG_ASSIGN(const WeightPlan plan, plan_weights(spec, model.checkpoint));
  Inspection out;
  out.path = path.string();
  out.format = model.checkpoint.gguf_files().empty() ? "safetensors" : "gguf";
  out.architecture = spec.architecture;
  if (options.digest) out.weights_digest = model.checkpoint.digest();
  const auto named = digest_of_manifest(folder_of(path));
  if (named) {
    out.manifest_digest = *named;
  } else {
    out.cannot.emplace_back("be trusted: " + named.error().message);
  }
  count_parameters(spec, plan, out);
  count_types(plan, model.checkpoint, out);
  out.weight_bytes = plan.weight_bytes;
  out.layers = spec.layers;
  out.experts = spec.moe.experts;
  out.experts_per_token = spec.moe.experts > 0 ? spec.moe.experts_per_token : 0;
  out.draft_layers = plan.mtp_layers;
  out.vocab = spec.vocab;
  out.context_max = spec.context_max;

  MemoryNeed& memory = out.memory;
  memory.weight_bytes = packed_weight_bytes(spec, plan, model.checkpoint, plan.mtp_layers > 0);
  const std::int64_t cached_layers = spec.layers + (plan.mtp_layers > 0 ? 1 : 0);
  memory.kv_bytes_per_token = cached_layers * spec.cache_width() * static_cast<std::int64_t>(sizeof(float));
  memory.context = options.context == 0 ? spec.context_max : std::min<std::int64_t>(options.context, spec.context_max);
  memory.sequences = options.sequences;
  memory.kv_bytes = memory.kv_bytes_per_token * memory.context * memory.sequences;
  const int threads = options.threads > 0 ? options.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  memory.attention_bytes = attention_scratch_bytes_max(spec, threads, options.step_tokens);
  memory.available_bytes = options.memory_bytes > 0 ? options.memory_bytes : machine_memory();

  describe_text_side(path, spec, out);
  if (plan.mtp_layers > 0) {
    out.can.emplace_back("drafts");
  } else if (spec.mtp_layers > 0) {
    out.cannot.emplace_back("drafts: the checkpoint lacks the draft layer that its config names");
  }
  if (!out.manifest_digest.empty() && options.digest && out.manifest_digest != out.weights_digest) {
    out.cannot.emplace_back("be trusted: manifest.json names other weights than these");
  }
  return out;
}

namespace {

json::object to_json(const Described& described) {
  json::object out;
  if (!described.what.empty()) out["what"] = described.what;
  if (!described.problem.empty()) out["problem"] = described.problem;
  return out;
}

json::array texts(const std::vector<std::string>& list) {
  json::array out;
  for (const std::string& text : list) out.emplace_back(json::string(text));
  return out;
}

}  // namespace

json::object to_json(const Inspection& inspection) {
  json::array types;
  for (const TypeShare& share : inspection.types) {
    json::object one;
    one["type"] = share.dtype;
    one["tensors"] = share.tensors;
    one["elements"] = share.elements;
    one["bytes"] = share.bytes;
    types.emplace_back(std::move(one));
  }
  const MemoryNeed& need = inspection.memory;
  json::object memory;
  memory["weight_bytes"] = need.weight_bytes;
  memory["kv_bytes_per_token"] = need.kv_bytes_per_token;
  memory["context"] = need.context;
  memory["sequences"] = need.sequences;
  memory["kv_bytes"] = need.kv_bytes;
  memory["attention_bytes"] = need.attention_bytes;
  memory["total_bytes"] = need.total_bytes();
  memory["available_bytes"] = need.available_bytes;
  memory["fits"] = need.fits();
  memory["sequences_max"] = need.sequences_max();
  json::object out;
  out["path"] = inspection.path;
  out["format"] = inspection.format;
  out["architecture"] = inspection.architecture;
  if (!inspection.weights_digest.empty()) out["weights_digest"] = inspection.weights_digest;
  if (!inspection.manifest_digest.empty()) out["manifest_digest"] = inspection.manifest_digest;
  out["parameters"] = inspection.parameters;
  out["active_parameters"] = inspection.active_parameters;
  out["draft_parameters"] = inspection.draft_parameters;
  out["weight_bytes"] = inspection.weight_bytes;
  out["types"] = std::move(types);
  out["layers"] = inspection.layers;
  out["experts"] = inspection.experts;
  out["experts_per_token"] = inspection.experts_per_token;
  out["draft_layers"] = inspection.draft_layers;
  out["vocab"] = inspection.vocab;
  out["context_max"] = inspection.context_max;
  out["memory"] = std::move(memory);
  out["tokenizer"] = to_json(inspection.tokenizer);
  out["chat"] = to_json(inspection.chat);
  out["can"] = texts(inspection.can);
  out["cannot"] = texts(inspection.cannot);
  return out;
}

}  // namespace tidegate::worker
