#include "scheduler/catalogue/accelerator_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kKindsMax = 256;
constexpr std::size_t kNamesMax = 16;
constexpr std::array<std::string_view, 13> kAcceleratorMembers = {
    "name",       "title", "aliases",   "memory_gib", "bandwidth_gb_s",           "bf16_tflops",
    "fp8_tflops", "link",  "link_gb_s", "per_node",   "price_micro_usd_per_hour", "engines",
    "sources"};

std::unexpected<Error> bad_accelerator(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_accelerator", std::move(message), std::move(field));
}

/// `key` in units of `unit`; absent is 0, which means not known.
Result<std::int64_t> amount(const json::object& from, std::string_view key, const std::string& path, double unit,
                            double most) {
  TG_ASSIGN(const auto number, json::find_double(from, key, path));
  if (!number) return 0;
  const std::string field = json::join_path(path, key);
  // Written so that NaN fails.
  if (!(*number > 0 && *number <= most)) {
    return bad_accelerator(fmt::format("'{}' must be above 0 and at most {}; leave it away when it is not known", field, most),
               field);
  }
  return static_cast<std::int64_t>(std::llround(*number * unit));
}

Result<std::int64_t> whole(const json::object& from, std::string_view key, const std::string& path, std::int64_t most) {
  TG_ASSIGN(const auto number, json::find_int(from, key, path));
  if (!number) return 0;
  const std::string field = json::join_path(path, key);
  if (*number < 1 || *number > most) {
    return bad_accelerator(fmt::format("'{}' must be 1 to {}; leave it away when it is not known", field, most), field);
  }
  return *number;
}

Result<std::vector<std::string>> names(const json::object& from, std::string_view key, const std::string& path) {
  std::vector<std::string> all;
  if (!from.contains(key)) return all;
  TG_ASSIGN(const json::array* list, json::get_array(from, key, path));
  const std::string field = json::join_path(path, key);
  if (list->size() > kNamesMax) return bad_accelerator(fmt::format("'{}' must hold at most {} entries", field, kNamesMax), field);
  for (const json::value& each : *list) {
    if (!each.is_string()) return bad_accelerator(fmt::format("'{}' must hold texts", field), field);
    all.emplace_back(each.get_string().data(), each.get_string().size());
  }
  return all;
}

Result<std::string> text_or_empty(const json::object& from, std::string_view key, const std::string& path) {
  TG_ASSIGN(const auto text, json::find_string(from, key, path));
  return text.value_or("");
}

Result<AcceleratorKind> read_kind(const json::object& from, const std::string& path) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(kAcceleratorMembers.begin(), kAcceleratorMembers.end(), key) != kAcceleratorMembers.end()) continue;
    const std::string field = json::join_path(path, key);
    return bad_accelerator(fmt::format("'{}' is not a member of an accelerator", field), field);
  }
  AcceleratorKind kind;
  TG_ASSIGN(kind.name, json::get_string(from, "name", path));
  TG_ASSIGN(kind.title, text_or_empty(from, "title", path));
  TG_ASSIGN(kind.aliases, names(from, "aliases", path));
  TG_ASSIGN(kind.memory_bytes, amount(from, "memory_gib", path, 1024.0 * 1024.0 * 1024.0, 65'536));
  TG_ASSIGN(kind.bandwidth_bytes_per_s, amount(from, "bandwidth_gb_s", path, 1e9, 1e6));
  TG_ASSIGN(kind.bf16_flops, amount(from, "bf16_tflops", path, 1e12, 1e6));
  TG_ASSIGN(kind.fp8_flops, amount(from, "fp8_tflops", path, 1e12, 1e6));
  TG_ASSIGN(kind.link, text_or_empty(from, "link", path));
  TG_ASSIGN(kind.link_bytes_per_s, amount(from, "link_gb_s", path, 1e9, 1e6));
  TG_ASSIGN(const std::int64_t per_node, whole(from, "per_node", path, 1024));
  kind.per_node = static_cast<std::int32_t>(per_node);
  TG_ASSIGN(kind.price_micro_usd_per_hour, whole(from, "price_micro_usd_per_hour", path, 10'000'000'000));
  TG_ASSIGN(kind.engines, names(from, "engines", path));
  TG_ASSIGN(kind.sources, text_or_empty(from, "sources", path));
  return kind;
}

Status read_document(const json::value& document, AcceleratorTable& table) {
  if (!document.is_object()) return bad_accelerator("a file of accelerators is a JSON object", "");
  TG_ASSIGN(const json::array* list, json::get_array(document.get_object(), "accelerators"));
  if (document.get_object().size() != 1) return bad_accelerator("'accelerators' is the only member of the file", "");
  if (list->empty() || list->size() > kKindsMax) {
    return bad_accelerator(fmt::format("'accelerators' must hold 1 to {} entries", kKindsMax), "accelerators");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("accelerators[{}]", i);
    if (!(*list)[i].is_object()) return bad_accelerator(fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(AcceleratorKind kind, read_kind((*list)[i].get_object(), path));
    TG_TRY(table.add(std::move(kind)));
  }
  return {};
}

}  // namespace

Status read_accelerators(std::string_view text, AcceleratorTable& table) {
  TG_ASSIGN(const json::value document, json::parse(text));
  return read_document(document, table);
}

Result<AcceleratorTable> load_accelerators(const std::string& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  if (code || files.empty()) {
    return fail(Code::kNotFound, "no_accelerators", fmt::format("no *.json in the folder of accelerators '{}'", folder),
                "accelerators");
  }
  std::sort(files.begin(), files.end());
  AcceleratorTable table;
  for (const auto& file : files) {
    TG_ASSIGN(const json::value document, json::parse_file(file.string()));
    const Status read = read_document(document, table);
    if (read) continue;
    Error error = read.error();
    error.message = file.string() + ": " + error.message;
    return fail(std::move(error));
  }
  return table;
}

}  // namespace tidegate::scheduler
