#pragma once

#include <cstdint>
#include <pqxx/binarystring>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"

namespace tidegate::pg {

/// What an array parameter holds: PostgreSQL's own type numbers.
enum class ElementType : std::uint32_t {
  kBytea = 17,
  kInt8 = 20,
  kInt4 = 23,
  kText = 25,
  kTimestamptz = 1184,
  kNumeric = 1700,
  kUuid = 2950,
};

/// An array parameter in PostgreSQL's binary form, for statements over whole batches: neither side formats or
/// parses text. The statement must name the type ($1::uuid[]), since nothing is converted. As ArrayLiteral
/// otherwise. Adding a value of another type than the array's aborts.
class BinaryArray {
 public:
  explicit BinaryArray(ElementType type, std::size_t elements_approx = 0);

  BinaryArray& add(const Uuid& uuid);
  template <typename Tag>
  BinaryArray& add(const Id<Tag>& id) {
    return add(id.uuid);
  }
  BinaryArray& add(std::int64_t number);  ///< of int8
  BinaryArray& add(std::int32_t number);  ///< of int4
  BinaryArray& add(Wall wall);
  BinaryArray& add(Money money);         ///< numeric with twelve decimals
  BinaryArray& add_count(Int128 count);  ///< numeric without decimals
  BinaryArray& add_text(std::string_view text);
  BinaryArray& add_bytes(std::string_view raw);
  BinaryArray& add_null();

  std::size_t size() const { return size_; }
  /// Of the elements so far.
  pqxx::binarystring param() const;

 private:
  void put_numeric(Int128 value, int decimals);
  void begin(ElementType type, std::size_t bytes);

  ElementType type_;
  std::string elements_;
  std::size_t size_ = 0;
  bool has_null_ = false;
};

}  // namespace tidegate::pg
