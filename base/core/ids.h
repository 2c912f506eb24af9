#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/random.h"
#include "base/core/result.h"

namespace tidegate {

/// 128 bits in RFC 9562 order. Printed lower-case with dashes.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
  bool is_nil() const { return *this == Uuid{}; }
  std::string to_string() const;
  /// Milliseconds since the epoch of a version 7 UUID.
  std::int64_t unix_millis() const;
  /// Fails: invalid_argument/bad_uuid.
  static Result<Uuid> parse(std::string_view text);
  /// From exactly 16 raw bytes (as in protobuf `bytes`). Fails: invalid_argument/bad_uuid.
  static Result<Uuid> from_bytes(std::string_view raw);
  std::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Mints time-ordered version 7 UUIDs. Thread-safe when its parts are.
class IdSource {
 public:
  virtual ~IdSource() = default;
  virtual Uuid next() = 0;
};

class UuidV7Source final : public IdSource {
 public:
  UuidV7Source(const Clock& clock, EntropySource& entropy) : clock_(clock), entropy_(entropy) {}
  Uuid next() override;

 private:
  static constexpr std::size_t kRandomBytes = 10;  ///< of an id; the version and the variant take six bits of them

  const Clock& clock_;
  EntropySource& entropy_;
  std::mutex mutex_;
  /// Bytes for the next ids: the kernel's generator is asked for many at once.
  std::array<std::uint8_t, 64 * kRandomBytes> pool_{};  // guarded by mutex_
  std::size_t used_ = pool_.size();                     // guarded by mutex_
};

/// A Uuid that names one kind of thing.
template <typename Tag>
struct Id {
  Uuid uuid;

  auto operator<=>(const Id&) const = default;
  bool is_nil() const { return uuid.is_nil(); }
  std::string to_string() const { return uuid.to_string(); }
  std::string_view raw() const { return uuid.raw(); }
  static Result<Id> parse(std::string_view text) {
    TG_ASSIGN(const Uuid uuid, Uuid::parse(text));
    return Id{uuid};
  }
  static Result<Id> from_bytes(std::string_view raw) {
    TG_ASSIGN(const Uuid uuid, Uuid::from_bytes(raw));
    return Id{uuid};
  }
};

using TenantId = Id<struct TenantTag>;
using ProjectId = Id<struct ProjectTag>;
using ApiKeyId = Id<struct ApiKeyTag>;
using WalletId = Id<struct WalletTag>;
using LeaseId = Id<struct LeaseTag>;
using RequestId = Id<struct RequestTag>;
using WorkerId = Id<struct WorkerTag>;

}  // namespace tidegate

template <>
struct std::hash<tidegate::Uuid> {
  std::size_t operator()(const tidegate::Uuid& uuid) const noexcept {
    // Version 7 keeps its randomness in the last eight bytes.
    std::uint64_t low = 0;
    for (int i = 8; i < 16; ++i) low = low << 8 | uuid.bytes[static_cast<std::size_t>(i)];
    return std::hash<std::uint64_t>()(low);
  }
};
template <typename Tag>
struct std::hash<tidegate::Id<Tag>> {
  std::size_t operator()(const tidegate::Id<Tag>& id) const noexcept { return std::hash<tidegate::Uuid>()(id.uuid); }
};
