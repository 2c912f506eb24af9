#include "scheduler/catalogue/catalogue_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <vector>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kVariantsMax = 64;

std::unexpected<Error> bad(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_catalogue", std::move(message), std::move(field));
}

Status only_known(const json::object& from, std::initializer_list<std::string_view> known, std::string_view path) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string field = json::join_path(path, key);
      return bad(fmt::format("'{}' is not a member of a catalogue entry", field), field);
    }
  }
  return {};
}

Result<std::int64_t> count_of(const json::object& from, std::string_view key, const std::string& path) {
  TG_ASSIGN(const auto number, json::find_int(from, key, path));
  if (number.value_or(0) < 0) return bad(fmt::format("'{}' must be zero or more", json::join_path(path, key)), json::join_path(path, key));
  return number.value_or(0);
}

Result<CatalogueVariant> read_variant(const json::object& from, const std::string& path) {
  TG_TRY(only_known(from, {"name", "precision", "path", "parameters", "weight_bytes", "kv_bytes_per_token", "weights_digest", "engine"}, path));
  CatalogueVariant variant;
  TG_ASSIGN(variant.name, json::get_string(from, "name", path));
  TG_ASSIGN(variant.precision, json::get_string(from, "precision", path));
  TG_ASSIGN(variant.engine, json::get_string(from, "engine", path));
  TG_ASSIGN(const auto folder, json::find_string(from, "path", path));
  TG_ASSIGN(const auto digest, json::find_string(from, "weights_digest", path));
  TG_ASSIGN(variant.parameters, count_of(from, "parameters", path));
  TG_ASSIGN(variant.weight_bytes, count_of(from, "weight_bytes", path));
  TG_ASSIGN(variant.kv_bytes_per_token, count_of(from, "kv_bytes_per_token", path));
  variant.path = folder.value_or("");
  variant.weights_digest = digest.value_or("");
  if (variant.engine != "tidegate" && variant.engine != "sim" && variant.engine != "external") {
    return bad(fmt::format("'{}.engine' must be tidegate, sim or external", path), path + ".engine");
  }
  // The path is joined to the models folder and reaches a command line.
  if (variant.path.starts_with("/") || variant.path.find("..") != std::string::npos) {
    return bad(fmt::format("'{}.path' must stay inside the models folder", path), path + ".path");
  }
  return variant;
}

Result<std::string> read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read '{}'", path.string()), path.string());
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace

Result<CatalogueModel> parse_catalogue_model(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object()) return bad("a catalogue entry is a JSON object", "");
  const json::object& from = document.get_object();
  TG_TRY(only_known(from, {"name", "architecture", "context_max", "licence", "variants"}, ""));
  CatalogueModel model;
  TG_ASSIGN(model.name, json::get_string(from, "name"));
  TG_ASSIGN(model.architecture, json::get_string(from, "architecture"));
  TG_ASSIGN(model.licence, json::get_string(from, "licence"));
  TG_ASSIGN(const auto context_max, json::get_int(from, "context_max"));
  if (context_max < 1 || context_max > (1 << 24)) return bad("'context_max' must be 1 to 16777216 tokens", "context_max");
  model.context_max = static_cast<std::int32_t>(context_max);
  TG_ASSIGN(const json::array* variants, json::get_array(from, "variants"));
  if (variants->empty() || variants->size() > kVariantsMax) {
    return bad(fmt::format("'variants' must hold 1 to {} entries", kVariantsMax), "variants");
  }
  for (std::size_t i = 0; i < variants->size(); ++i) {
    const std::string path = fmt::format("variants[{}]", i);
    if (!(*variants)[i].is_object()) return bad(fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(CatalogueVariant variant, read_variant((*variants)[i].get_object(), path));
    for (const auto& other : model.variants) {
      if (other.name == variant.name) return bad(fmt::format("variant '{}' is there twice", variant.name), path + ".name");
    }
    model.variants.push_back(std::move(variant));
  }
  return model;
}

Result<Catalogue> load_catalogue(const std::string& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  if (code || files.empty()) {
    return fail(Code::kNotFound, "no_catalogue", fmt::format("no *.json in the catalogue folder '{}'", folder), "catalogue.dir");
  }
  std::sort(files.begin(), files.end());
  Catalogue catalogue;
  for (const auto& file : files) {
    TG_ASSIGN(const std::string text, read_text(file));
    auto model = parse_catalogue_model(text);
    if (!model) {
      Error error = model.error();
      error.message = file.string() + ": " + error.message;
      return fail(std::move(error));
    }
    TG_TRY(catalogue.add(*std::move(model)));
  }
  return catalogue;
}

}  // namespace tidegate::scheduler
