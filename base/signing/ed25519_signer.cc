#include "base/signing/ed25519_signer.h"

#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>

#include <tuple>

#include "base/core/check.h"

namespace tidegate {

struct Ed25519Signer::Secret {
  std::array<std::uint8_t, crypto_sign_ed25519_SECRETKEYBYTES> bytes{};  ///< the seed and the public key
  ~Secret() { sodium_memzero(bytes.data(), bytes.size()); }
};

static_assert(Ed25519Signer::kSeedBytes == crypto_sign_ed25519_SEEDBYTES);
static_assert(std::tuple_size_v<Signature> == crypto_sign_ed25519_BYTES);

Ed25519Signer::Ed25519Signer(std::span<const std::uint8_t, kSeedBytes> seed) {
  static const bool is_ready = sodium_init() >= 0;  // picks what this CPU can do
  TG_CHECK(is_ready);
  const auto secret = std::make_shared<Secret>();
  std::array<std::uint8_t, crypto_sign_ed25519_PUBLICKEYBYTES> unused;
  TG_CHECK(crypto_sign_ed25519_seed_keypair(unused.data(), secret->bytes.data(), seed.data()) == 0);
  secret_ = secret;
}

Signature Ed25519Signer::sign(std::string_view message) const {
  Signature signature;
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  TG_CHECK(crypto_sign_ed25519_detached(signature.data(), nullptr, bytes, message.size(), secret_->bytes.data()) == 0);
  return signature;
}

}  // namespace tidegate
