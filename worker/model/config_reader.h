#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/json/json.h"

namespace tidegate::worker {

/// Typed, bounded reads of one object of config.json. Every Error is invalid_argument/bad_config and its
/// field is the member's path; nothing is read without a limit, since sizes from here become allocations.
class ConfigReader {
 public:
  explicit ConfigReader(const json::object& object, std::string path = {})
      : object_(object), path_(std::move(path)) {}

  Result<std::int32_t> integer(std::string_view key, std::int32_t low, std::int32_t high) const;
  /// Absent or null gives `fallback`.
  Result<std::int32_t> integer_or(std::string_view key, std::int32_t low, std::int32_t high,
                                  std::int32_t fallback) const;
  Result<double> number(std::string_view key, double low, double high) const;
  Result<double> number_or(std::string_view key, double low, double high, double fallback) const;
  Result<bool> flag_or(std::string_view key, bool fallback) const;
  /// Present members must equal `supported`; absent is fine.
  Status only_text(std::string_view key, std::string_view supported) const;
  /// One of `supported`; absent or null gives `fallback`, which an empty one makes an error.
  Result<std::string> choice(std::string_view key, std::span<const std::string_view> supported,
                             std::string_view fallback) const;
  Status only_flag(std::string_view key, bool supported) const;
  /// nullopt when absent or null.
  Result<std::optional<ConfigReader>> child(std::string_view key) const;

  [[nodiscard]] const json::object& object() const { return object_; }
  [[nodiscard]] std::unexpected<Error> error(std::string_view key, std::string_view what) const;

 private:
  const json::object& object_;
  std::string path_;
};

}  // namespace tidegate::worker
