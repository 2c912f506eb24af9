#include "base/pg/types.h"

#include <algorithm>
#include <charconv>
#include <pqxx/except>

#include "base/core/encoding.h"

namespace tidegate::pg {

namespace {

std::string_view text_of(const pqxx::field& field) {
  if (field.is_null()) throw pqxx::conversion_error(std::string("column ") + field.name() + " is NULL");
  return {field.c_str(), field.size()};
}

[[noreturn]] void wrong_shape(const pqxx::field& field, const char* wanted) {
  throw pqxx::conversion_error(std::string("column ") + field.name() + " holds no " + wanted);
}

}  // namespace

Uuid read_uuid(const pqxx::field& field) {
  auto uuid = Uuid::parse(text_of(field));
  if (!uuid) wrong_shape(field, "uuid");
  return *uuid;
}

Money read_money(const pqxx::field& field) {
  auto money = Money::parse(text_of(field));
  if (!money) wrong_shape(field, "amount");
  return *money;
}

Int128 read_int128(const pqxx::field& field) {
  std::string_view text = text_of(field);
  const bool is_negative = text.starts_with('-');
  if (is_negative) text.remove_prefix(1);
  // 38 digits always fit.
  if (text.empty() || text.size() > 38) wrong_shape(field, "128-bit integer");
  Int128 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') wrong_shape(field, "128-bit integer");
    value = value * 10 + (c - '0');
  }
  return is_negative ? -value : value;
}

std::string micros_of(std::string_view column) {
  return "(extract(epoch from " + std::string(column) + ") * 1000000)::bigint";
}

std::int64_t read_int64(const pqxx::field& field) {
  const std::string_view text = text_of(field);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) wrong_shape(field, "64-bit integer");
  return value;
}

Wall read_wall(const pqxx::field& field) { return wall_from_unix_micros(read_int64(field)); }

std::optional<Wall> read_wall_if(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return read_wall(field);
}

std::string to_bytea(std::string_view raw) { return "\\x" + hex_encode(raw); }

std::string read_bytea(const pqxx::field& field) {
  const std::string_view text = text_of(field);
  if (!text.starts_with("\\x")) wrong_shape(field, "bytea in hex format");
  auto raw = hex_decode(text.substr(2));
  if (!raw) wrong_shape(field, "bytea in hex format");
  return *std::move(raw);
}

bool read_bool(const pqxx::field& field) {
  const std::string_view text = text_of(field);
  if (text != "t" && text != "f") wrong_shape(field, "boolean");
  return text == "t";
}

std::string read_text(const pqxx::field& field) {
  return field.is_null() ? std::string() : std::string(field.c_str(), field.size());
}

std::vector<std::string> read_list(const pqxx::field& field, char separator) {
  const std::string text = read_text(field);
  std::vector<std::string> out;
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find(separator, start), text.size());
    out.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

void ArrayLiteral::separate() {
  if (size_++ > 0) out_ += ',';
}

ArrayLiteral& ArrayLiteral::add(std::string_view text) {
  separate();
  out_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out_ += '\\';
    out_ += c;
  }
  out_ += '"';
  return *this;
}

ArrayLiteral& ArrayLiteral::add(std::int64_t number) {
  separate();
  out_ += std::to_string(number);
  return *this;
}

ArrayLiteral& ArrayLiteral::add_bool(bool value) {
  separate();
  out_ += value ? 't' : 'f';
  return *this;
}

ArrayLiteral& ArrayLiteral::add_null() {
  separate();
  out_ += "NULL";
  return *this;
}

}  // namespace tidegate::pg
