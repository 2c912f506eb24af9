#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"

/// The canonical binary form of everything that is signed: four letters that say what it is, then fields in a
/// fixed order, each as a big-endian u16 length and its bytes. Numbers are big-endian with a fixed width. One
/// value has one encoding, and no field can run into the next.
namespace tidegate::receipt {

inline constexpr std::size_t kFieldBytesMax = 1024;
inline constexpr std::size_t kTextBytesMax = 256;
inline constexpr std::size_t kLengthBytes = 2;

class FieldWriter {
 public:
  explicit FieldWriter(std::string_view magic) : out_(magic) {}
  /// At most kFieldBytesMax bytes: aborts, since whoever signs has bounded its input long before.
  void bytes(std::string_view value);
  /// For people. Too long is cut, what cannot be printed becomes '?': names come from configuration and
  /// workers, and a strange one must not stop an answer.
  void text(std::string_view value);
  void u8(std::uint8_t value);
  void u64(std::uint64_t value);
  void i64(std::int64_t value) { u64(static_cast<std::uint64_t>(value)); }
  void money(Money value);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads what FieldWriter wrote. After the first misfit every further read gives zeros; ask status() at the
/// end.
class FieldReader {
 public:
  FieldReader(std::string_view data, std::string_view magic);
  std::string_view bytes(std::string_view name, std::size_t size_max = kFieldBytesMax);
  /// Exactly `size` bytes.
  std::string_view exactly(std::string_view name, std::size_t size);
  /// Valid UTF-8 without control characters: it is printed.
  std::string text(std::string_view name);
  std::uint8_t u8(std::string_view name);
  std::uint64_t u64(std::string_view name);
  std::int64_t i64(std::string_view name) { return static_cast<std::int64_t>(u64(name)); }
  Money money(std::string_view name);
  Uuid uuid(std::string_view name);
  std::string_view rest() const { return data_; }
  bool is_sound() const { return status_.has_value(); }
  void refuse(std::string_view name, std::string_view why);
  /// Fails: invalid_argument/bad_receipt naming the field.
  Status status() const { return status_; }
  /// status(), and nothing may be left.
  Status end();

 private:
  std::string_view data_;
  Status status_;
};

}  // namespace tidegate::receipt
