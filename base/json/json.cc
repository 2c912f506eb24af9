#include "base/json/json.h"

#include <fmt/format.h>

#include <boost/json/src.hpp>
#include <fstream>
#include <sstream>

namespace tidegate::json {

namespace {

std::unexpected<Error> missing(std::string_view key, std::string_view path) {
  const std::string field = join_path(path, key);
  return fail(Code::kInvalidArgument, "missing_field", fmt::format("'{}' is required", field), field);
}

std::unexpected<Error> wrong_type(std::string_view key, std::string_view path, std::string_view wanted) {
  const std::string field = join_path(path, key);
  return fail(Code::kInvalidArgument, "wrong_type", fmt::format("'{}' must be {}", field, wanted), field);
}

Result<std::string> as_string(const value& v, std::string_view key, std::string_view path) {
  if (!v.is_string()) return wrong_type(key, path, "a string");
  return std::string(v.get_string());
}
Result<std::int64_t> as_int(const value& v, std::string_view key, std::string_view path) {
  if (v.is_int64()) return v.get_int64();
  // 10.0 is an integer to many clients.
  if (v.is_double() && v.get_double() == static_cast<double>(static_cast<std::int64_t>(
                           v.get_double() > -9e15 && v.get_double() < 9e15 ? v.get_double() : 0.5))) {
    return static_cast<std::int64_t>(v.get_double());
  }
  return wrong_type(key, path, "an integer");
}
Result<double> as_double(const value& v, std::string_view key, std::string_view path) {
  if (!v.is_number()) return wrong_type(key, path, "a number");
  return v.to_number<double>();
}
Result<bool> as_bool(const value& v, std::string_view key, std::string_view path) {
  if (!v.is_bool()) return wrong_type(key, path, "true or false");
  return v.get_bool();
}

template <typename T, typename Convert>
Result<std::optional<T>> find(const object& from, std::string_view key, std::string_view path, Convert convert) {
  const value* v = from.if_contains(key);
  if (v == nullptr || v->is_null()) return std::optional<T>();
  TG_ASSIGN(T converted, convert(*v, key, path));
  return std::optional<T>(std::move(converted));
}

}  // namespace

std::string join_path(std::string_view path, std::string_view key) {
  if (path.empty()) return std::string(key);
  if (!key.empty() && key.front() == '[') return std::string(path) + std::string(key);
  return std::string(path) + "." + std::string(key);
}

Result<value> parse(std::string_view text, std::size_t depth_max) {
  boost::json::parse_options options;
  options.max_depth = depth_max;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code code;
  const std::size_t used = parser.write_some(text.data(), text.size(), code);
  if (!code) parser.finish(code);
  if (!code) {
    for (const char c : text.substr(used)) {
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') code = boost::json::error::extra_data;
    }
  }
  if (code) {
    return fail(Code::kInvalidArgument, "invalid_json",
                fmt::format("the text is not valid JSON at byte {}: {}", used, code.message()));
  }
  return parser.release();
}

Result<value> parse_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read '{}'", path), path);
  std::ostringstream all;
  all << in.rdbuf();
  auto parsed = parse(all.str());
  if (!parsed) {
    Error error = std::move(parsed).error();
    error.message = path + ": " + error.message;
    return fail(std::move(error));
  }
  return parsed;
}

Result<const value*> member(const object& from, std::string_view key, std::string_view path) {
  const value* v = from.if_contains(key);
  if (v == nullptr || v->is_null()) return missing(key, path);
  return v;
}

Result<std::string> get_string(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  return as_string(*v, key, path);
}
Result<std::int64_t> get_int(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  return as_int(*v, key, path);
}
Result<double> get_double(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  return as_double(*v, key, path);
}
Result<bool> get_bool(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  return as_bool(*v, key, path);
}
Result<const object*> get_object(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  if (!v->is_object()) return wrong_type(key, path, "an object");
  return &v->get_object();
}
Result<const array*> get_array(const object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const value* v, member(from, key, path));
  if (!v->is_array()) return wrong_type(key, path, "an array");
  return &v->get_array();
}

Result<std::optional<std::string>> find_string(const object& from, std::string_view key, std::string_view path) {
  return find<std::string>(from, key, path, as_string);
}
Result<std::optional<std::int64_t>> find_int(const object& from, std::string_view key, std::string_view path) {
  return find<std::int64_t>(from, key, path, as_int);
}
Result<std::optional<double>> find_double(const object& from, std::string_view key, std::string_view path) {
  return find<double>(from, key, path, as_double);
}
Result<std::optional<bool>> find_bool(const object& from, std::string_view key, std::string_view path) {
  return find<bool>(from, key, path, as_bool);
}

}  // namespace tidegate::json
