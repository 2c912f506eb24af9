#include "scheduler/catalogue/catalogue_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <vector>

#include "base/json/json.h"
#include "scheduler/catalogue/shape_json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kVariantsMax = 64;
constexpr std::size_t kListMax = 64;

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

/// A list of texts; absent is empty.
Result<std::vector<std::string>> texts_of(const json::object& from, std::string_view key, const std::string& path) {
  std::vector<std::string> texts;
  if (!from.contains(key)) return texts;
  TG_ASSIGN(const json::array* list, json::get_array(from, key, path));
  const std::string field = json::join_path(path, key);
  if (list->size() > kListMax) return bad(fmt::format("'{}' must hold at most {} entries", field, kListMax), field);
  for (const json::value& each : *list) {
    if (!each.is_string()) return bad(fmt::format("'{}' must hold texts", field), field);
    texts.emplace_back(each.get_string().data(), each.get_string().size());
  }
  return texts;
}

Result<Capabilities> read_capabilities(const json::object& from) {
  Capabilities all;
  TG_ASSIGN(const std::vector<std::string> names, texts_of(from, "capabilities", ""));
  for (const std::string& name : names) {
    if (name == "reasoning") {
      all.reasoning = true;
    } else if (name == "tools") {
      all.tools = true;
    } else if (name == "fim") {
      all.fim = true;
    } else if (name == "embeddings") {
      all.embeddings = true;
    } else if (name == "vision") {
      all.vision = true;
    } else {
      return bad(fmt::format("'{}' is not a capability; they are reasoning, tools, fim, embeddings and vision", name), "capabilities");
    }
  }
  return all;
}

/// What the shape decides: sizes, and which layouts are possible at all.
Status compute_variant(CatalogueVariant& variant, const ModelShape& shape, const json::object& from, const std::string& path) {
  for (const char* key : {"parameters", "weight_bytes", "kv_bytes_per_token"}) {
    const std::string field = json::join_path(path, key);
    if (from.contains(key)) return bad(fmt::format("'{}' is computed from 'shape'; leave it away", field), field);
  }
  auto precision = parse_precision(variant.precision);
  if (!precision) return bad(precision.error().message, path + ".precision");
  variant.weights = *precision;
  TG_ASSIGN(const auto kv, json::find_string(from, "kv", path));
  if (kv) {
    auto kv_precision = parse_kv_precision(*kv);
    if (!kv_precision) return bad(kv_precision.error().message, path + ".kv");
    variant.kv = *kv_precision;
  }
  const ModelSizes sizes = model_sizes(shape, *precision);
  variant.parameters = sizes.parameters();
  variant.weight_bytes = sizes.bytes();
  variant.kv_bytes_per_token = kv_bytes_per_token(shape, variant.kv);
  TG_ASSIGN(const std::vector<std::string> layouts, texts_of(from, "layouts", path));
  for (const std::string& text : layouts) {
    auto layout = parse_layout(text);
    if (layout) layout = check_layout(shape, *layout);
    if (!layout) return bad(layout.error().message, path + ".layouts");
    variant.layouts.push_back(*layout);
  }
  return {};
}

Result<CatalogueVariant> read_variant(const json::object& from, const std::string& path) {
  TG_TRY(only_known(from, {"name", "precision", "path", "parameters", "weight_bytes", "kv_bytes_per_token", "weights_digest", "engine",
                           "kv", "layouts"}, path));
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
  TG_TRY(only_known(from, {"name", "architecture", "context_max", "licence", "variants", "shape", "capabilities", "unknown", "sources",
                           "parameters_published", "active_published"}, ""));
  CatalogueModel model;
  TG_ASSIGN(model.name, json::get_string(from, "name"));
  TG_ASSIGN(model.architecture, json::get_string(from, "architecture"));
  TG_ASSIGN(model.licence, json::get_string(from, "licence"));
  TG_ASSIGN(const auto context_max, json::get_int(from, "context_max"));
  if (context_max < 1 || context_max > (1 << 24)) return bad("'context_max' must be 1 to 16777216 tokens", "context_max");
  model.context_max = static_cast<std::int32_t>(context_max);
  TG_ASSIGN(model.capabilities, read_capabilities(from));
  TG_ASSIGN(model.unknown, texts_of(from, "unknown", ""));
  TG_ASSIGN(const auto sources, json::find_string(from, "sources"));
  model.sources = sources.value_or("");
  TG_ASSIGN(model.parameters_published, count_of(from, "parameters_published", ""));
  TG_ASSIGN(model.active_published, count_of(from, "active_published", ""));
  if (from.contains("shape")) {
    TG_ASSIGN(const json::object* shape, json::get_object(from, "shape"));
    TG_ASSIGN(model.shape, read_shape(*shape, "shape"));
  }
  TG_ASSIGN(const json::array* variants, json::get_array(from, "variants"));
  if (variants->empty() || variants->size() > kVariantsMax) {
    return bad(fmt::format("'variants' must hold 1 to {} entries", kVariantsMax), "variants");
  }
  for (std::size_t i = 0; i < variants->size(); ++i) {
    const std::string path = fmt::format("variants[{}]", i);
    if (!(*variants)[i].is_object()) return bad(fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(CatalogueVariant variant, read_variant((*variants)[i].get_object(), path));
    const json::object& row = (*variants)[i].get_object();
    if (model.shape) TG_TRY(compute_variant(variant, *model.shape, row, path));
    for (const char* key : {"kv", "layouts"}) {
      if (!model.shape && row.contains(key)) return bad(fmt::format("'{}.{}' means nothing without 'shape'", path, key), path + "." + key);
    }
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
