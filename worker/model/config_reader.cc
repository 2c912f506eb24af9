#include "worker/model/config_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

/// Of a value that is not supported: it may be as long as the file.
constexpr std::size_t kQuotedValueBytesMax = 64;

Error as_bad_config(Error error) {
  error.reason = "bad_config";
  error.message = "config.json: " + error.message;
  return error;
}

}  // namespace

std::unexpected<Error> ConfigReader::error(std::string_view key, std::string_view what) const {
  const std::string path = json::join_path(path_, key);
  return fail(Code::kInvalidArgument, "bad_config", fmt::format("config.json: {} {}", path, what), path);
}

Result<std::int32_t> ConfigReader::integer(std::string_view key, std::int32_t low, std::int32_t high) const {
  const auto value = json::get_int(object_, key, path_);
  if (!value) return fail(as_bad_config(value.error()));
  if (*value < low || *value > high)
    return error(key, fmt::format("is {}; {} to {} is supported", *value, low, high));
  return static_cast<std::int32_t>(*value);
}

Result<std::int32_t> ConfigReader::integer_or(std::string_view key, std::int32_t low, std::int32_t high,
                                              std::int32_t fallback) const {
  const json::value* value = object_.if_contains(key);
  if (value == nullptr || value->is_null()) return fallback;
  return integer(key, low, high);
}

Result<double> ConfigReader::number(std::string_view key, double low, double high) const {
  const auto value = json::get_double(object_, key, path_);
  if (!value) return fail(as_bad_config(value.error()));
  if (!std::isfinite(*value) || *value < low || *value > high) {
    return error(key, fmt::format("is {}; {} to {} is supported", *value, low, high));
  }
  return *value;
}

Result<double> ConfigReader::number_or(std::string_view key, double low, double high, double fallback) const {
  const json::value* value = object_.if_contains(key);
  if (value == nullptr || value->is_null()) return fallback;
  return number(key, low, high);
}

Result<bool> ConfigReader::flag_or(std::string_view key, bool fallback) const {
  const auto value = json::find_bool(object_, key, path_);
  if (!value) return fail(as_bad_config(value.error()));
  return value->value_or(fallback);
}

Status ConfigReader::only_text(std::string_view key, std::string_view supported) const {
  const auto value = json::find_string(object_, key, path_);
  if (!value) return fail(as_bad_config(value.error()));
  if (*value && **value != supported) {
    return error(key, fmt::format("is '{}'; only '{}' is supported", utf8_prefix(**value, kQuotedValueBytesMax), supported));
  }
  return {};
}

Result<std::string> ConfigReader::choice(std::string_view key, std::span<const std::string_view> supported,
                                         std::string_view fallback) const {
  const auto value = json::find_string(object_, key, path_);
  if (!value) return fail(as_bad_config(value.error()));
  if (!*value && fallback.empty()) return error(key, "is missing");
  std::string chosen = value->value_or(std::string(fallback));
  if (std::ranges::find(supported, std::string_view(chosen)) == supported.end()) {
    return error(key, fmt::format("is '{}'; only {} is supported", utf8_prefix(chosen, kQuotedValueBytesMax),
                                  fmt::join(supported, ", ")));
  }
  return chosen;
}

Status ConfigReader::only_flag(std::string_view key, bool supported) const {
  TG_ASSIGN(const bool value, flag_or(key, supported));
  if (value != supported) return error(key, fmt::format("is {}; only {} is supported", value, supported));
  return {};
}

Result<std::optional<ConfigReader>> ConfigReader::child(std::string_view key) const {
  const json::value* value = object_.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<ConfigReader>();
  if (!value->is_object()) return error(key, "is not an object");
  return std::optional<ConfigReader>(ConfigReader(value->get_object(), json::join_path(path_, key)));
}

}  // namespace tidegate::worker
