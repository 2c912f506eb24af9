#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/encoding.h"
#include "base/crypto/jwk_set.h"

namespace tidegate::test {

/// One key of an identity provider, made in the test, and the tokens it signs. Whoever includes this links base_jwt.
class TokenIssuer {
 public:
  explicit TokenIssuer(JwtAlgorithm algorithm, std::string kid = "k1", unsigned rsa_bits = 2048)
      : algorithm_(algorithm), kid_(std::move(kid)), key_(generate(algorithm, rsa_bits), EVP_PKEY_free) {
    if (!key_) throw std::runtime_error("OpenSSL made no key");
  }

  /// The public key, as the provider shows it. `more`: further members, `,"use":"sig"`.
  std::string jwk(const std::string& more = {}) const { return R"({"kid":")" + kid_ + R"(",)" + numbers() + more + "}"; }
  /// {"keys":[...]}
  static std::string set(std::initializer_list<std::string> jwks) {
    std::string out = R"({"keys":[)";
    for (const std::string& one : jwks) out += (out.back() == '[' ? "" : ",") + one;
    return out + "]}";
  }

  std::string header() const {
    return R"({"alg":")" + std::string(jwt_algorithm_name(algorithm_)) + R"(","typ":"JWT","kid":")" + kid_ + R"("})";
  }
  /// `claims` and `head` are JSON texts.
  std::string token(const std::string& claims) const { return token(header(), claims); }
  std::string token(const std::string& head, const std::string& claims) const {
    const std::string text = base64url_encode(head) + "." + base64url_encode(claims);
    return text + "." + base64url_encode(sign(text));
  }

 private:
  static EVP_PKEY* generate(JwtAlgorithm algorithm, unsigned rsa_bits) {
    switch (algorithm) {
      case JwtAlgorithm::kRs256:
      case JwtAlgorithm::kPs256:
        return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(rsa_bits));
      case JwtAlgorithm::kEs256: {
        char curve[] = "P-256";
        return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve);
      }
      case JwtAlgorithm::kEdDsa:
        return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    }
    return nullptr;
  }

  /// A number of the public key, `size` bytes long; 0: as short as it is.
  std::string number(const char* name, int size) const {
    BIGNUM* raw = nullptr;
    if (EVP_PKEY_get_bn_param(key_.get(), name, &raw) != 1) throw std::runtime_error("no such number");
    const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> owned(raw, BN_free);
    return padded(raw, size == 0 ? BN_num_bytes(raw) : size);
  }
  static std::string padded(const BIGNUM* value, int size) {
    std::string out(static_cast<std::size_t>(size), '\0');
    if (BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), size) != size) {
      throw std::runtime_error("a number does not fit");
    }
    return out;
  }

  std::string numbers() const {
    const auto member = [](const char* name, const std::string& raw) {
      return std::string(R"(")") + name + R"(":")" + base64url_encode(raw) + R"(")";
    };
    switch (algorithm_) {
      case JwtAlgorithm::kRs256:
      case JwtAlgorithm::kPs256:
        return R"("kty":"RSA","alg":")" + std::string(jwt_algorithm_name(algorithm_)) + R"(",)" +
               member("n", number(OSSL_PKEY_PARAM_RSA_N, 0)) + "," + member("e", number(OSSL_PKEY_PARAM_RSA_E, 0));
      case JwtAlgorithm::kEs256:
        return R"("kty":"EC","crv":"P-256",)" + member("x", number(OSSL_PKEY_PARAM_EC_PUB_X, 32)) + "," +
               member("y", number(OSSL_PKEY_PARAM_EC_PUB_Y, 32));
      case JwtAlgorithm::kEdDsa: {
        std::string raw(32, '\0');
        std::size_t size = raw.size();
        EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
        return R"("kty":"OKP","crv":"Ed25519",)" + member("x", raw);
      }
    }
    return {};
  }

  std::string sign(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* options = nullptr;
    const EVP_MD* digest = algorithm_ == JwtAlgorithm::kEdDsa ? nullptr : EVP_sha256();
    bool is_good = EVP_DigestSignInit(context.get(), &options, digest, nullptr, key_.get()) == 1;
    if (is_good && algorithm_ == JwtAlgorithm::kPs256) {
      is_good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    const auto* data = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t size = 0;
    is_good = is_good && EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1;
    std::string out(size, '\0');
    is_good = is_good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, data,
                                        text.size()) == 1;
    if (!is_good) throw std::runtime_error("OpenSSL signed nothing");
    out.resize(size);
    return algorithm_ == JwtAlgorithm::kEs256 ? pair_of(out) : out;
  }
  static std::string pair_of(const std::string& der) {
    const auto* from = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> pair(
        d2i_ECDSA_SIG(nullptr, &from, static_cast<long>(der.size())), ECDSA_SIG_free);
    return padded(ECDSA_SIG_get0_r(pair.get()), 32) + padded(ECDSA_SIG_get0_s(pair.get()), 32);
  }

  JwtAlgorithm algorithm_;
  std::string kid_;
  std::shared_ptr<EVP_PKEY> key_;  // copies share it
};

}  // namespace tidegate::test
