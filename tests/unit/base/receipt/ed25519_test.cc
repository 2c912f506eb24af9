#include "base/crypto/ed25519.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/core/encoding.h"
#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate {
namespace {

TEST(Ed25519, AcceptsTheVectorOfTheRfc) {
  // RFC 8032, 7.1, test 2.
  const auto key =
      Ed25519PublicKey::from_raw(*hex_decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  const std::string signature = *hex_decode(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2e"
      "aeb4302aeeb00d291612bb0c00");
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->verify("\x72", signature));
  EXPECT_FALSE(key->verify("\x73", signature));
  EXPECT_FALSE(key->verify("\x72", signature.substr(1)));
}

TEST(Ed25519, SignsAsTheRfcDoes) {
  // RFC 8032, 7.1, tests 1 and 2.
  struct Case {
    const char* seed;
    std::string_view message;
    const char* signature;
  };
  for (const auto& [seed, message, signature] :
       {Case{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
             "d25bf5f0595bbe24655141438e7a100b"},
        Case{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "\x72",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
             "387b2eaeb4302aeeb00d291612bb0c00"}}) {
    const std::string raw = *hex_decode(seed);
    std::array<std::uint8_t, Ed25519Signer::kSeedBytes> bytes;
    std::ranges::copy(raw, bytes.begin());
    const Ed25519Signer signer(bytes);
    EXPECT_EQ(hex_encode(as_view(signer.sign(message))), signature);
  }
}

TEST(Ed25519, WhatItSignsItsPublicKeyVerifies) {
  const Ed25519Key key = receipt::test::make_key(7);
  for (const std::size_t size : {0U, 1U, 63U, 700U, 100'000U}) {
    const std::string message(size, 'm');
    const Signature signature = key.sign(message);
    EXPECT_TRUE(key.public_key().verify(message, as_view(signature))) << size;
    EXPECT_FALSE(key.public_key().verify(message + "m", as_view(signature))) << size;
  }
}

TEST(Ed25519, KeysSurviveTheirFiles) {
  const Ed25519Key key = receipt::test::make_key(5);
  const auto read = Ed25519Key::from_pem(key.pem(), "file");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sign("x"), key.sign("x"));
  const auto read_public = Ed25519PublicKey::from_pem(key.public_key().pem(), "file");
  ASSERT_TRUE(read_public);
  EXPECT_EQ(read_public->id(), key.public_key().id());
  EXPECT_EQ(read_public->id().size(), 16u);
}

TEST(Ed25519, ARefusalNamesTheFileAndTheFixAndNeverTheContent) {
  for (const char* text : {"", "sesame", "-----BEGIN PRIVATE KEY-----\nsesame\n-----END PRIVATE KEY-----\n"}) {
    const auto key = Ed25519Key::from_pem(text, "secrets.receipt_key_file");
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().field, "secrets.receipt_key_file");
    EXPECT_NE(key.error().message.find("tidegate receipt-key mint"), std::string::npos);
    EXPECT_EQ(key.error().message.find("sesame"), std::string::npos);
  }
  EXPECT_FALSE(Ed25519PublicKey::from_raw("short"));
  EXPECT_FALSE(Ed25519PublicKey::from_pem(receipt::test::make_key(1).pem(), "f"))
      << "a private key is not a public one";
}

}  // namespace
}  // namespace tidegate
