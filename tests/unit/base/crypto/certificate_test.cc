#include "base/crypto/certificate.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <fstream>

#include "base/crypto/certificate_authority.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"

namespace tidegate {
namespace {

using std::chrono::hours;

class CertificateTest : public testing::Test {
 protected:
  CertificateTest()
      : authority_(CertificateAuthority::mint("test authority", hours(1000), entropy_, clock_.wall()).value()) {}

  MintedCertificate issue(std::chrono::seconds life = hours(10), std::string_view key = {}) {
    CertificateOrder order;
    order.common_name = "tidegate gateway";
    order.uris = {"tidegate://gateway"};
    order.dns_names = {"localhost"};
    order.addresses = {"127.0.0.1", "::1"};
    order.life = life;
    return authority_.issue(order, key, entropy_, clock_.wall()).value();
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.file(name), std::ios::binary) << text;
    return folder_.file(name);
  }
  Result<CertificatePair> load(const MintedCertificate& minted) {
    return load_certificate_pair(write("a.crt", minted.certificate_pem), write("a.key", minted.key_pem), "http.tls_",
                                 clock_.wall());
  }
  /// The message names option and file; returns it for what else it must say.
  std::string refused(const Result<CertificatePair>& loaded, const std::string& option) {
    if (loaded) return "accepted";
    EXPECT_EQ(loaded.error().reason, "bad_certificate");
    EXPECT_EQ(loaded.error().field, option);
    EXPECT_NE(loaded.error().message.find(option), std::string::npos);
    return loaded.error().message;
  }

  test::TempDir folder_;
  test::SimClock clock_;
  test::SeededEntropy entropy_;
  CertificateAuthority authority_;
};

TEST_F(CertificateTest, AMintedPairLoadsWithItsFacts) {
  const auto pair = load(issue());
  ASSERT_TRUE(pair) << pair.error().to_string();
  EXPECT_EQ(pair->facts.subject, "CN=tidegate gateway");
  EXPECT_EQ(pair->facts.uris, std::vector<std::string>{"tidegate://gateway"});
  EXPECT_EQ(pair->facts.fingerprint.size(), 64U);
  EXPECT_EQ(pair->facts.not_after, clock_.wall() + hours(10));
  EXPECT_LT(pair->facts.not_before, clock_.wall());
}

TEST_F(CertificateTest, OutOfForceIsRefusedWithTheInstant) {
  const auto minted = issue(hours(1));
  clock_.advance(hours(1));
  EXPECT_NE(refused(load(minted), "http.tls_cert_file").find("expired at 2026-11-21T09:00:00"), std::string::npos);
  clock_.set_wall(wall_from_unix_micros(0));
  EXPECT_NE(refused(load(minted), "http.tls_cert_file").find("not valid before"), std::string::npos);
}

TEST_F(CertificateTest, HalvesOfDifferentPairsAreRefused) {
  auto mixed = issue();
  mixed.key_pem = issue().key_pem;
  EXPECT_NE(refused(load(mixed), "http.tls_key_file").find("is not the key of"), std::string::npos);
}

TEST_F(CertificateTest, MissingUnreadableAndGarbledFilesAreNamed) {
  const auto minted = issue();
  const std::string cert = write("b.crt", minted.certificate_pem);
  const std::string key = write("b.key", minted.key_pem);
  const Wall now = clock_.wall();
  refused(load_certificate_pair(cert, "", "http.tls_", now), "http.tls_key_file");
  refused(load_certificate_pair("", key, "http.tls_", now), "http.tls_cert_file");
  EXPECT_NE(refused(load_certificate_pair("/nonexistent/x", key, "http.tls_", now), "http.tls_cert_file").find("/nonexistent/x"),
            std::string::npos);
  refused(load_certificate_pair(key, key, "http.tls_", now), "http.tls_cert_file");
  const auto message = refused(load_certificate_pair(cert, write("c.key", "sesame"), "http.tls_", now), "http.tls_key_file");
  EXPECT_NE(message.find("tidegate certs mint"), std::string::npos);
  EXPECT_EQ(message.find("sesame"), std::string::npos);
}

TEST_F(CertificateTest, AWeakKeyIsRefused) {
  EVP_PKEY* key = EVP_RSA_gen(1024);
  ASSERT_NE(key, nullptr);
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out, &data);
  const std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(out);
  EVP_PKEY_free(key);
  EXPECT_NE(refused(load(issue(hours(10), pem)), "http.tls_key_file").find("RSA key of 1024 bits; use at least 2048"),
            std::string::npos);
}

TEST_F(CertificateTest, ARenewalMayKeepItsKey) {
  const auto first = issue();
  const auto second = issue(hours(20), first.key_pem);
  EXPECT_NE(first.certificate_pem, second.certificate_pem);
  EXPECT_TRUE(load({second.certificate_pem, first.key_pem}));
  EXPECT_TRUE(load({first.certificate_pem, second.key_pem}));
}

TEST_F(CertificateTest, AnAuthoritySurvivesItsFiles) {
  const auto again = CertificateAuthority::from_pem(authority_.pem());
  ASSERT_TRUE(again);
  EXPECT_TRUE(load_authorities(write("ca.crt", again->pem().certificate_pem), "rpc.tls_ca_file", clock_.wall()));
  EXPECT_FALSE(load_authorities(write("ca.crt", "nothing"), "rpc.tls_ca_file", clock_.wall()));
  clock_.advance(hours(2000));
  EXPECT_FALSE(load_authorities(write("ca.crt", again->pem().certificate_pem), "rpc.tls_ca_file", clock_.wall()));
  MintedCertificate torn = authority_.pem();
  torn.key_pem = issue().key_pem;
  EXPECT_FALSE(CertificateAuthority::from_pem(torn));
}

TEST_F(CertificateTest, NamesThatCouldSmuggleOthersAreRefused) {
  CertificateOrder order;
  order.common_name = "x";
  order.life = hours(1);
  for (const char* name : {"a,URI:tidegate://billing", "", "a b", "a\nb"}) {
    order.dns_names = {name};
    EXPECT_FALSE(authority_.issue(order, "", entropy_, clock_.wall())) << name;
  }
  order.dns_names.clear();
  EXPECT_FALSE(authority_.issue(order, "", entropy_, clock_.wall())) << "no name at all";
}

}  // namespace
}  // namespace tidegate
