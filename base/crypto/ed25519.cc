#include "base/crypto/ed25519.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <utility>

#include "base/core/check.h"
#include "base/core/encoding.h"
#include "base/crypto/openssl_types.h"
#include "base/crypto/sha256.h"

namespace tidegate {
namespace {

using namespace openssl;

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kIdDigits = 16;

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

std::string raw_public(EVP_PKEY* key) {
  std::string raw(kKeyBytes, '\0');
  std::size_t size = raw.size();
  TG_CHECK(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) == 1);
  return raw;
}

Ed25519Signer signer_of(EVP_PKEY* key) {
  std::array<std::uint8_t, Ed25519Signer::kSeedBytes> seed;
  std::size_t size = seed.size();
  TG_CHECK(EVP_PKEY_get_raw_private_key(key, seed.data(), &size) == 1 && size == seed.size());
  Ed25519Signer signer(seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  return signer;
}

std::unexpected<Error> bad_key(std::string_view name, std::string_view wanted) {
  return fail(Code::kInvalidArgument, "bad_key",
              fmt::format("{} must hold an Ed25519 {} in PEM; make one with: tidegate receipt-key mint", name, wanted),
              std::string(name));
}

}  // namespace

Ed25519PublicKey::Ed25519PublicKey(std::shared_ptr<void> key, std::string raw)
    : key_(std::move(key)), raw_(std::move(raw)), id_(hex_encode(as_view(sha256(raw_))).substr(0, kIdDigits)) {}

Result<Ed25519PublicKey> Ed25519PublicKey::from_raw(std::string_view raw) {
  EVP_PKEY* key = raw.size() == kKeyBytes
                      ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(raw), raw.size())
                      : nullptr;
  if (key == nullptr) return fail(Code::kInvalidArgument, "bad_key", "an Ed25519 public key has 32 bytes");
  return Ed25519PublicKey(own(key), std::string(raw));
}

Result<Ed25519PublicKey> Ed25519PublicKey::from_pem(std::string_view pem, std::string_view name) {
  const Bio bio = reader(pem);
  EVP_PKEY* key = PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr);
  if (key == nullptr) return bad_key(name, "public key");
  auto owned = own(key);
  if (EVP_PKEY_id(key) != EVP_PKEY_ED25519) return bad_key(name, "public key");
  return Ed25519PublicKey(std::move(owned), raw_public(key));
}

bool Ed25519PublicKey::verify(std::string_view message, std::string_view signature) const {
  const DigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  TG_CHECK(context != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey(key_)) == 1);
  return EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message), message.size()) == 1;
}

std::string Ed25519PublicKey::pem() const {
  const Bio bio(BIO_new(BIO_s_mem()), BIO_free);
  TG_CHECK(PEM_write_bio_PUBKEY(bio.get(), pkey(key_)) == 1);
  return content(bio.get());
}

Ed25519Key::Ed25519Key(std::shared_ptr<void> key, Ed25519PublicKey public_key)
    : key_(std::move(key)), signer_(signer_of(pkey(key_))), public_(std::move(public_key)) {}

Ed25519Key Ed25519Key::mint(EntropySource& entropy) {
  std::array<std::uint8_t, kKeyBytes> seed;
  entropy.fill(seed.data(), seed.size());
  EVP_PKEY* key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size());
  OPENSSL_cleanse(seed.data(), seed.size());  // OpenSSL has its own copy, and wipes that
  TG_CHECK(key != nullptr);
  auto owned = own(key);
  return {owned, *Ed25519PublicKey::from_raw(raw_public(key))};
}

Result<Ed25519Key> Ed25519Key::from_pem(std::string_view pem, std::string_view name) {
  const Bio bio = reader(pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr);
  if (key == nullptr) return bad_key(name, "private key");
  auto owned = own(key);
  if (EVP_PKEY_id(key) != EVP_PKEY_ED25519) return bad_key(name, "private key");
  return Ed25519Key(owned, *Ed25519PublicKey::from_raw(raw_public(key)));
}

Signature Ed25519Key::sign(std::string_view message) const {
  return signer_.sign(message);
}

std::string Ed25519Key::pem() const {
  const Bio bio(BIO_new(BIO_s_mem()), BIO_free);
  TG_CHECK(PEM_write_bio_PrivateKey(bio.get(), pkey(key_), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return content(bio.get());
}

}  // namespace tidegate
