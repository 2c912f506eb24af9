#include "base/receipt/receipt.h"

#include <gtest/gtest.h>

#include "base/core/encoding.h"
#include "base/receipt/fields.h"
#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate::receipt {
namespace {

using test::make_key;
using test::make_receipt;

TEST(Receipt, WhatWasWrittenIsRead) {
  const Receipt written = make_receipt(12, sha256("before"));
  const auto read = decode_body(encode_body(written));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, written);
}

TEST(Receipt, TheEncodingNeverChangesByAccident) {
  // A stored receipt must verify for ever: whoever changes the format makes a TGR2 beside it.
  EXPECT_EQ(hex_encode(as_view(link_of(encode_body(make_receipt(1))))),
            "80b5d8094241b43fe7b31b7ecd10101c53adf27e8cfcb705728fecd3f8a617dc");
}

TEST(Receipt, ItsPlaceIsWrittenInAfterwards) {
  std::string body = encode_body(make_receipt(0));
  const Receipt placed = make_receipt(0);
  const Digest previous = sha256("before");
  set_position(body, 0x0102030405060708, previous);
  const auto read = decode_body(body);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sequence, 0x0102030405060708u);
  EXPECT_EQ(read->previous, previous);
  EXPECT_EQ(read->request, placed.request);
}

TEST(Receipt, EveryTruncationIsRefused) {
  const std::string whole = sign_body(encode_body(make_receipt(1)), make_key(1));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(decode_signed(whole.substr(0, size))) << size;
  EXPECT_FALSE(decode_signed(whole + '\0'));
}

TEST(Receipt, AStrangeNameIsMadePrintableAndDoesNotStopAnAnswer) {
  Receipt strange = make_receipt(1);
  strange.variant = std::string("bf\n16\x80", 6);
  strange.weights_digest = std::string(5'000, 'x');
  strange.finish_reason = std::string(255, 'x') + "\xc3\xa9";  // the cut falls into a character
  const auto read = decode_body(encode_body(strange));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->variant, "bf?16?");
  EXPECT_EQ(read->weights_digest.size(), 256u);
  EXPECT_EQ(read->finish_reason, std::string(255, 'x'));
}

TEST(Receipt, ARefusalNamesTheField) {
  std::string body = encode_body(make_receipt(1));
  body[0] = 'X';
  EXPECT_EQ(decode_body(body).error().field, "format");
  body[0] = 'T';
  EXPECT_EQ(decode_body(body.substr(0, 30)).error().field, "previous");
}

TEST(Receipt, ATextLongerThanAnyThatIsWrittenIsRefused) {
  FieldWriter longest(kMagic), longer(kMagic);
  longest.bytes(std::string(kTextBytesMax, 'x'));
  longer.bytes(std::string(kTextBytesMax + 1, 'x'));
  const std::string accepted = longest.take(), refused = longer.take();
  FieldReader first(accepted, kMagic), second(refused, kMagic);
  EXPECT_EQ(first.text("model").size(), kTextBytesMax);
  EXPECT_TRUE(first.end());
  EXPECT_EQ(second.text("model"), "");
  ASSERT_FALSE(second.status());
  EXPECT_EQ(second.status().error().field, "model");
}

TEST(Receipt, ASignatureIsOfOneKeyAndOneContent) {
  const Ed25519Key key = make_key(1);
  const SignedReceipt receipt = test::make_signed(make_receipt(1), key);
  EXPECT_TRUE(verify_signature(receipt.envelope, key.public_key()));
  EXPECT_EQ(verify_signature(receipt.envelope, make_key(2).public_key()).error().reason, "wrong_key");
  Envelope relabelled = receipt.envelope;
  relabelled.key_id = make_key(2).public_key().id();
  EXPECT_EQ(verify_signature(relabelled, make_key(2).public_key()).error().reason, "bad_signature");
}

TEST(Receipt, SigningAgainGivesTheSameBytesSoNothingNeedsToBeStored) {
  const std::string body = encode_body(make_receipt(1));
  EXPECT_EQ(sign_body(body, make_key(1)), sign_body(body, make_key(1)));
}

TEST(Receipt, ASecondKeyLeavesTheChainAsItIs) {
  const std::string body = encode_body(make_receipt(1));
  const auto first = decode_signed(sign_body(body, make_key(1)));
  const auto second = decode_signed(sign_body(body, make_key(2)));
  EXPECT_EQ(link_of(first->envelope.body), link_of(second->envelope.body));
}

}  // namespace
}  // namespace tidegate::receipt
