#include "worker/verify/golden_file.h"

#include <fmt/format.h>

#include "base/json/json.h"
#include "worker/format/safetensors.h"

namespace tidegate::worker {
namespace {

Error as_bad_golden(Error error) {
  error.reason = "bad_golden";
  error.message = "golden.json: " + error.message;
  return error;
}

/// A list of numbers; absent gives an empty one.
template <typename T>
Result<std::vector<T>> numbers(const json::object& from, std::string_view key, std::string_view path) {
  std::vector<T> out;
  const json::value* value = from.if_contains(key);
  if (value == nullptr) return out;
  const std::string at = json::join_path(path, key);
  if (!value->is_array()) return fail(Code::kInvalidArgument, "bad_golden", at + " is not a list", at);
  for (const json::value& item : value->get_array()) {
    boost::system::error_code wrong;
    out.push_back(item.to_number<T>(wrong));
    if (wrong)
      return fail(Code::kInvalidArgument, "bad_golden", at + " holds something that is not a number", at);
  }
  return out;
}

Result<GoldenCase> read_case(const json::object& in, const std::string& path) {
  GoldenCase out;
  const bool is_trained = in.contains("greedy64");
  TG_ASSIGN(out.ids, numbers<TokenId>(in, "ids", path));
  TG_ASSIGN(out.greedy, numbers<TokenId>(in, is_trained ? "greedy64" : "greedy", path));
  TG_ASSIGN(out.margins, numbers<float>(in, "greedy64_margins", path));
  TG_ASSIGN(out.top_ids, numbers<TokenId>(in, "first_step_top64_ids", path));
  TG_ASSIGN(out.top_logits, numbers<float>(in, "first_step_top64_logits", path));
  TG_ASSIGN(out.drafts, numbers<TokenId>(in, "mtp_draft_after_each_greedy_token", path));
  TG_ASSIGN(out.draft_margins, numbers<float>(in, "mtp_draft_margins", path));
  auto rms = json::get_double(in, is_trained ? "first_step_logits_rms" : "logits_rms", path);
  if (!rms) return fail(as_bad_golden(rms.error()));
  out.logits_rms = *rms;
  const bool lists_agree = (out.margins.empty() || out.margins.size() == out.greedy.size()) &&
                           out.top_ids.size() == out.top_logits.size() &&
                           out.drafts.size() == out.draft_margins.size();
  if (out.ids.empty() || out.greedy.empty() || out.logits_rms <= 0 || !lists_agree) {
    return fail(Code::kInvalidArgument, "bad_golden",
                fmt::format("{}: lists are empty or of unequal length", path), path);
  }
  return out;
}

Status read_tensors(const std::filesystem::path& path, GoldenFile& golden) {
  TG_ASSIGN(const SafetensorsFile file, SafetensorsFile::open(path));
  for (const auto& [name, tensor] : file.tensors()) {
    const std::size_t dot = name.find('.');
    const std::string index =
        name.starts_with("case") && dot != std::string::npos ? name.substr(4, dot - 4) : "";
    for (std::size_t i = 0; i < golden.cases.size(); ++i) {
      if (index == std::to_string(i))
        golden.cases[i].tensors.emplace(name.substr(dot + 1), to_floats(tensor));
    }
  }
  return {};
}

}  // namespace

Result<GoldenFile> read_golden(const std::filesystem::path& path) {
  GoldenFile golden;
  std::error_code ignored;
  golden.path = std::filesystem::is_directory(path, ignored) ? path / "golden.json" : path;
  if (!std::filesystem::exists(golden.path, ignored)) {
    return fail(Code::kNotFound, "no_golden", fmt::format("{} does not exist", golden.path.string()));
  }
  auto document = json::parse_file(golden.path.string());
  if (!document) return fail(as_bad_golden(document.error()));
  if (!document->is_object())
    return fail(Code::kInvalidArgument, "bad_golden", "golden.json is not an object");
  const json::object& root = document->get_object();

  const auto limit = json::find_int(root, "vocab_limit");
  if (!limit) return fail(as_bad_golden(limit.error()));
  if (*limit) golden.vocab_limit = static_cast<std::int32_t>(**limit);
  const auto cases = json::get_array(root, "cases");
  if (!cases) return fail(as_bad_golden(cases.error()));
  for (std::size_t i = 0; i < (*cases)->size(); ++i) {
    const std::string at = fmt::format("cases[{}]", i);
    if (!(**cases)[i].is_object())
      return fail(Code::kInvalidArgument, "bad_golden", at + " is not an object", at);
    TG_ASSIGN(GoldenCase one, read_case((**cases)[i].get_object(), at));
    golden.cases.push_back(std::move(one));
  }
  const auto tensors = golden.path.parent_path() / "golden.safetensors";
  if (std::filesystem::exists(tensors, ignored)) TG_TRY(read_tensors(tensors, golden));
  return golden;
}

}  // namespace tidegate::worker
