#include "base/crypto/sha256.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/core/check.h"
#include "base/crypto/openssl_types.h"

namespace tidegate {

using openssl::bytes;

Digest sha256(std::string_view data) {
  // Fetched once: EVP_sha256() is looked up again by every call.
  static EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, OSSL_DIGEST_NAME_SHA2_256, nullptr);  // lives as long as the process
  TG_CHECK(kSha256 != nullptr);
  Digest digest;
  TG_CHECK(EVP_Digest(data.data(), data.size(), digest.data(), nullptr, kSha256, nullptr) == 1);
  return digest;
}

Digest hmac_sha256(std::string_view key, std::string_view data) {
  Digest digest;
  unsigned int size = 0;
  TG_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(data), data.size(), digest.data(),
                &size) != nullptr);
  return digest;
}

HmacKey::HmacKey(std::string_view key) {
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);  // lives as long as the process
  TG_CHECK(hmac != nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(hmac);
  TG_CHECK(context != nullptr);
  keyed_ = {context, [](void* owned) { EVP_MAC_CTX_free(static_cast<EVP_MAC_CTX*>(owned)); }};
  char digest[] = OSSL_DIGEST_NAME_SHA2_256;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  TG_CHECK(EVP_MAC_init(context, bytes(key), key.size(), params) == 1);
}

Digest HmacKey::of(std::string_view data) const {
  EVP_MAC_CTX* context = EVP_MAC_CTX_dup(static_cast<const EVP_MAC_CTX*>(keyed_.get()));
  TG_CHECK(context != nullptr);
  Digest digest;
  std::size_t size = 0;
  TG_CHECK(EVP_MAC_update(context, bytes(data), data.size()) == 1);
  TG_CHECK(EVP_MAC_final(context, digest.data(), &size, digest.size()) == 1);
  EVP_MAC_CTX_free(context);
  return digest;
}

Digest derive_key(std::string_view root, std::string_view label) {
  Digest key;
  std::size_t size = key.size();
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr);
  TG_CHECK(context != nullptr);
  TG_CHECK(EVP_PKEY_derive_init(context) == 1);
  TG_CHECK(EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1);
  TG_CHECK(EVP_PKEY_CTX_set1_hkdf_key(context, bytes(root), static_cast<int>(root.size())) == 1);
  TG_CHECK(EVP_PKEY_CTX_add1_hkdf_info(context, bytes(label), static_cast<int>(label.size())) == 1);
  TG_CHECK(EVP_PKEY_derive(context, key.data(), &size) == 1);
  EVP_PKEY_CTX_free(context);
  return key;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct Sha256Stream::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  TG_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(state_->context); }
void Sha256Stream::update(std::string_view data) {
  TG_CHECK(EVP_DigestUpdate(state_->context, data.data(), data.size()) == 1);
}
Digest Sha256Stream::finish() {
  Digest digest;
  TG_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1);
  return digest;
}

void SystemEntropy::fill(void* data, std::size_t size) {
  TG_CHECK(RAND_bytes(static_cast<unsigned char*>(data), static_cast<int>(size)) == 1);
}

}  // namespace tidegate
