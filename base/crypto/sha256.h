#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/random.h"

/// The few primitives Tidegate needs, from OpenSSL.
namespace tidegate {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::string_view data);
Digest hmac_sha256(std::string_view key, std::string_view data);
/// HMAC-SHA256 under a key that stays: it is read once, which for a short text is most of the work. Thread-safe.
class HmacKey {
 public:
  explicit HmacKey(std::string_view key);
  Digest of(std::string_view data) const;

 private:
  std::shared_ptr<void> keyed_;  // shared between copies: nobody changes it
};

/// HKDF-SHA256 with an empty salt: one root secret, one key per purpose (`label`).
Digest derive_key(std::string_view root, std::string_view label);
/// Time does not depend on the content. Different lengths are unequal.
bool equal_constant_time(std::string_view a, std::string_view b);

inline std::string_view as_view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// SHA-256 over a stream of pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void update(std::string_view data);
  /// Once, at the end.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The kernel's generator through OpenSSL. Aborts when it fails. Thread-safe.
class SystemEntropy final : public EntropySource {
 public:
  void fill(void* data, std::size_t size) override;
};

}  // namespace tidegate
