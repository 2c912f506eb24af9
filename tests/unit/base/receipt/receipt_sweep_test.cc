#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "base/core/encoding.h"
#include "base/receipt/receipt_check.h"
#include "tests/unit/base/receipt/receipt_maker.h"

// The claim in numbers: of 100,000 receipts every one verifies offline, of 10,000 single-bit changes every
// one is detected. The default is a hundredth of it; TIDEGATE_RECEIPT_SWEEP=100000 runs it whole.
namespace tidegate::receipt {
namespace {

std::size_t sweep_size() {
  const char* asked = std::getenv("TIDEGATE_RECEIPT_SWEEP");
  return asked == nullptr ? 1'000 : static_cast<std::size_t>(std::strtoul(asked, nullptr, 10));
}

double micros_each(std::chrono::steady_clock::time_point begin, std::size_t count) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() /
         static_cast<double>(count);
}

TEST(ReceiptSweep, EveryReceiptVerifiesAndEverySingleBitChangeIsDetected) {
  const std::size_t receipts = sweep_size();
  const std::size_t changes = receipts / 10;
  const Ed25519Key key = test::make_key(1);
  const KeyRing ring = {{key.public_key().id(), PublishedKey{key.public_key(), "", 0, std::nullopt}}};

  std::vector<std::string> all;
  Digest previous{};
  const auto signing = std::chrono::steady_clock::now();
  for (std::uint64_t n = 1; n <= receipts; ++n) {
    std::string body = encode_body(test::make_receipt(0, {}, static_cast<std::int64_t>(n % 997)));
    set_position(body, n, previous);
    previous = link_of(body);
    all.push_back(sign_body(body, key));
  }
  const double sign_us = micros_each(signing, receipts);

  std::size_t verified = 0;
  ChainCheck chain;
  const auto verifying = std::chrono::steady_clock::now();
  for (const std::string& bytes : all) {
    const auto receipt = decode_signed(bytes);
    if (receipt && verify_receipt(*receipt, ring) && check_arithmetic(receipt->receipt) && chain.add(*receipt))
      ++verified;
  }
  const double verify_us = micros_each(verifying, receipts);
  EXPECT_EQ(verified, receipts);
  EXPECT_TRUE(chain.is_complete());

  // Half of the changes in the bytes, half in the text that travels in the header.
  std::mt19937_64 random(20'261'122);
  std::size_t detected = 0;
  for (std::size_t i = 0; i < changes; ++i) {
    std::string bytes = all[random() % all.size()];
    bool is_readable = true;
    if (i % 2 == 0) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    } else {
      std::string text = base64url_encode(bytes);
      text[random() % text.size()] ^= static_cast<char>(1 << random() % 8);
      const auto decoded = base64url_decode(text);
      is_readable = decoded.has_value();
      bytes = decoded.value_or("");
    }
    const auto receipt = decode_signed(bytes);
    if (!is_readable || !receipt || !verify_receipt(*receipt, ring)) ++detected;
  }
  EXPECT_EQ(detected, changes);
  fmt::print(
      "receipts: {} of {} verify offline ({:.1f} us each), {} of {} single-bit changes detected, encode + "
      "link + sign {:.1f} us, {} bytes, {} characters\n",
      verified, receipts, verify_us, detected, changes, sign_us, all.front().size(),
      base64url_encode(all.front()).size());
}

}  // namespace
}  // namespace tidegate::receipt
