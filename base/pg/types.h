#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/result>
#include <pqxx/transaction>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"

/// Our values <-> PostgreSQL. Parameters are text that the statement casts ($1::uuid, $2::numeric, $3::uuid[]), since
/// libpqxx 6.4 takes std::string and integers only. Reading a value of the wrong shape is a broken schema: it throws
/// pqxx::conversion_error, which pg::Pool turns into internal/database_error.
namespace tidegate::pg {

// uuid
inline std::string to_sql(const Uuid& uuid) { return uuid.to_string(); }
template <typename Tag>
std::string to_sql(const Id<Tag>& id) {
  return id.uuid.to_string();
}
Uuid read_uuid(const pqxx::field& field);
template <typename IdType>
IdType read_id(const pqxx::field& field) {
  return IdType{read_uuid(field)};
}

// numeric(38,12)
inline std::string to_sql(Money money) { return money.to_string(); }
Money read_money(const pqxx::field& field);
Int128 read_int128(const pqxx::field& field);  ///< numeric without decimals

// timestamptz: `$1::timestamptz` takes the text; select micros_of("column") to read one.
inline std::string to_sql(Wall wall) { return format_rfc3339(wall); }
/// None: "". `nullif($1, '')::timestamptz` takes it.
inline std::string to_sql_if(const std::optional<Wall>& wall) { return wall ? to_sql(*wall) : std::string(); }
/// "(extract(epoch from <column>) * 1000000)::bigint": exact in PostgreSQL 14 and later, where extract is numeric.
std::string micros_of(std::string_view column);
/// A bigint of microseconds since the epoch.
Wall read_wall(const pqxx::field& field);
std::optional<Wall> read_wall_if(const pqxx::field& field);

// bytea: `$1::bytea` takes the text.
std::string to_bytea(std::string_view raw);
std::string read_bytea(const pqxx::field& field);

std::int64_t read_int64(const pqxx::field& field);
bool read_bool(const pqxx::field& field);
/// Empty for NULL.
std::string read_text(const pqxx::field& field);
/// The pieces of a text between separators, as array_to_string() joins them; none for NULL or empty text.
std::vector<std::string> read_list(const pqxx::field& field, char separator);
inline bool is_null(const pqxx::field& field) { return field.is_null(); }

/// Builds an array literal for `unnest($1::uuid[], $2::bigint[])`: one parameter for a whole batch.
class ArrayLiteral {
 public:
  ArrayLiteral& add(std::string_view text);  ///< quoted and escaped
  ArrayLiteral& add(const std::string& text) { return add(std::string_view(text)); }
  ArrayLiteral& add(const char* text) { return add(std::string_view(text)); }
  ArrayLiteral& add(std::int64_t number);
  ArrayLiteral& add(const Uuid& uuid) { return add(std::string_view(uuid.to_string())); }
  template <typename Tag>
  ArrayLiteral& add(const Id<Tag>& id) {
    return add(id.uuid);
  }
  ArrayLiteral& add(Money money) { return add(std::string_view(money.to_string())); }
  ArrayLiteral& add(Wall wall) { return add(std::string_view(to_sql(wall))); }
  ArrayLiteral& add_bool(bool value);
  ArrayLiteral& add_null();
  /// The literal so far; more may be added after.
  std::string text() const { return out_ + "}"; }
  std::size_t size() const { return size_; }

 private:
  void separate();
  std::string out_ = "{";
  std::size_t size_ = 0;
};

template <typename Range>
std::string array_of(const Range& values) {
  ArrayLiteral literal;
  for (const auto& value : values) literal.add(value);
  return literal.text();
}

}  // namespace tidegate::pg
