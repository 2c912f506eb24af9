#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace tidegate {

using Signature = std::array<std::uint8_t, 64>;

/// Makes Ed25519 signatures (RFC 8032) with libsodium: OpenSSL 3.0 takes twice as long for the same 64 bytes, and one is
/// made for every answer. Keys, files and verification are base/crypto's. Immutable, cheap to copy, thread-safe.
class Ed25519Signer {
 public:
  static constexpr std::size_t kSeedBytes = 32;
  /// `seed` is the private key as RFC 8032 has it. The copy kept here is wiped with the last signer that shares it.
  explicit Ed25519Signer(std::span<const std::uint8_t, kSeedBytes> seed);

  /// About 20 us.
  Signature sign(std::string_view message) const;

 private:
  struct Secret;
  std::shared_ptr<const Secret> secret_;  // shared between copies
};

}  // namespace tidegate
