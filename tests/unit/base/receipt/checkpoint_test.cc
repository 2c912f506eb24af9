#include "base/receipt/checkpoint.h"

#include <gtest/gtest.h>

#include "base/receipt/receipt.h"
#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate::receipt {
namespace {

const Checkpoint kCheckpoint{"tide-test", "receipts/2026-11-22", 12, sha256("root"), 1'790'000'000'000'000};

TEST(Checkpoint, IsReadAsItWasWrittenAndSigned) {
  const Ed25519Key key = test::make_key(1);
  const auto read = decode_checkpoint(sign_body(encode_body(kCheckpoint), key));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->checkpoint, kCheckpoint);
  EXPECT_TRUE(verify_signature(read->envelope, key.public_key()));
}

TEST(Checkpoint, DoesNotPassForAReceiptNorAReceiptForACheckpoint) {
  const Ed25519Key key = test::make_key(1);
  EXPECT_EQ(decode_signed(sign_body(encode_body(kCheckpoint), key)).error().field, "format");
  EXPECT_EQ(decode_checkpoint(sign_body(encode_body(test::make_receipt(1)), key)).error().field, "format");
}

}  // namespace
}  // namespace tidegate::receipt
