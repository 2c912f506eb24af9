#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"

/// JSON is Boost.JSON. This header bounds its parser and gives typed, well-worded access to members.
namespace tidegate::json {

using boost::json::array;
using boost::json::object;
using boost::json::serialize;
using boost::json::string;
using boost::json::value;

/// Nesting allowed in any document from outside.
inline constexpr std::size_t kDepthMax = 32;

/// Duplicate keys: the last one wins (Boost.JSON). Fails: invalid_argument/invalid_json with the byte offset.
Result<value> parse(std::string_view text, std::size_t depth_max = kDepthMax);
Result<value> parse_file(const std::string& path);

/// Members of an object. `path` is the object's own path for messages ("" at the root).
/// Fails: invalid_argument/missing_field, invalid_argument/wrong_type; Error::field is the member's path.
Result<const value*> member(const object& from, std::string_view key, std::string_view path = {});
Result<std::string> get_string(const object& from, std::string_view key, std::string_view path = {});
Result<std::int64_t> get_int(const object& from, std::string_view key, std::string_view path = {});
Result<double> get_double(const object& from, std::string_view key, std::string_view path = {});
Result<bool> get_bool(const object& from, std::string_view key, std::string_view path = {});
Result<const object*> get_object(const object& from, std::string_view key, std::string_view path = {});
Result<const array*> get_array(const object& from, std::string_view key, std::string_view path = {});

/// Absent or null gives nullopt; a value of another type is an Error.
Result<std::optional<std::string>> find_string(const object& from, std::string_view key, std::string_view path = {});
Result<std::optional<std::int64_t>> find_int(const object& from, std::string_view key, std::string_view path = {});
Result<std::optional<double>> find_double(const object& from, std::string_view key, std::string_view path = {});
Result<std::optional<bool>> find_bool(const object& from, std::string_view key, std::string_view path = {});

/// "messages" + "[3]" -> "messages[3]"; "a" + "b" -> "a.b".
std::string join_path(std::string_view path, std::string_view key);

}  // namespace tidegate::json
