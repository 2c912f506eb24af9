#include "base/receipt/receipt_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>

#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate::receipt {
namespace {

using test::make_key;
using test::make_receipt;
using test::make_signed;

std::vector<SignedReceipt> make_chain(std::uint64_t count, const Ed25519Key& key) {
  std::vector<SignedReceipt> chain;
  Digest previous{};
  for (std::uint64_t n = 1; n <= count; ++n) {
    chain.push_back(make_signed(make_receipt(n, previous), key));
    previous = link_of(chain.back().envelope.body);
  }
  return chain;
}

KeyRing ring_of(const Ed25519Key& key, std::string signer = "") {
  return {{key.public_key().id(), PublishedKey{key.public_key(), std::move(signer), 0, std::nullopt}}};
}

TEST(VerifyReceipt, AnUnknownKeyAndAForeignSignerAreTold) {
  const Ed25519Key key = make_key(1);
  const SignedReceipt receipt = make_signed(make_receipt(1), key);
  EXPECT_TRUE(verify_receipt(receipt, ring_of(key, "gateway/gateway-1")));
  EXPECT_EQ(verify_receipt(receipt, ring_of(make_key(2))).error().reason, "unknown_key");
  EXPECT_EQ(verify_receipt(receipt, ring_of(key, "gateway/gateway-2")).error().reason, "wrong_signer");
}

TEST(VerifyReceipt, ARetiredKeyVouchesForItsTimeOnly) {
  const Ed25519Key key = make_key(1);
  const SignedReceipt receipt = make_signed(make_receipt(1), key);
  KeyRing ring = ring_of(key);
  ring.begin()->second.valid_to_us = receipt.receipt.completed_us + 1;
  EXPECT_TRUE(verify_receipt(receipt, ring));
  ring.begin()->second.valid_to_us = receipt.receipt.completed_us - 3'600'000'000;
  EXPECT_EQ(verify_receipt(receipt, ring).error().reason, "key_retired");
}

TEST(CheckArithmetic, EveryRuleIsSeenBroken) {
  EXPECT_TRUE(check_arithmetic(make_receipt(1)));
  const auto field_of = [](auto spoil) {
    Receipt receipt = make_receipt(1);
    spoil(receipt);
    const Status status = check_arithmetic(receipt);
    return status ? "fine" : status.error().field;
  };
  EXPECT_EQ(field_of([](Receipt& r) { r.prompt_tokens = -1; }), "tokens");
  EXPECT_EQ(field_of([](Receipt& r) { r.cached_tokens = 101; }), "cached_tokens");
  EXPECT_EQ(field_of([](Receipt& r) { r.reasoning_tokens = 51; }), "reasoning_tokens");
  EXPECT_EQ(field_of([](Receipt& r) { r.completed_us = r.started_us - 1; }), "started_at");
  EXPECT_EQ(field_of([](Receipt& r) { r.amount += Money::from_pico(1); }), "amount");
  EXPECT_EQ(field_of([](Receipt& r) { r.lines[2].amount += Money::from_pico(1); }), "lines");
  EXPECT_EQ(field_of([](Receipt& r) { r.lines[0].quantity = -1; }), "lines");
  EXPECT_EQ(field_of([](Receipt& r) { ++r.prompt_tokens; }), "lines");
}

TEST(CheckArithmetic, AForgedReceiptWithHugeNumbersIsRefusedLikeAnyOther) {
  const auto field_of = [](auto spoil) {
    Receipt receipt = make_receipt(1);
    spoil(receipt);
    const Status status = check_arithmetic(receipt);
    return status ? "fine" : status.error().field;
  };
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(field_of([](Receipt& r) { r.prompt_tokens = r.completion_tokens = kHuge; }), "lines");
  EXPECT_EQ(field_of([](Receipt& r) {
              for (Line& line : r.lines) {
                line.quantity = kHuge;
                line.rate = Rate();
                line.amount = Money();
              }
              r.amount = Money();
            }),
            "lines");
  const Money most = Money::parse("99999999999999999999999999.999999999999").value();
  for (const Money amount : {most, -most}) {
    EXPECT_EQ(field_of([amount](Receipt& r) {
                for (Line& line : r.lines) {
                  line.terms = "promotion";
                  line.amount = amount;
                }
              }),
              "lines");
  }
}

TEST(ChainCheck, AWholeChainInAnyOrderIsCompleteAndSound) {
  auto chain = make_chain(50, make_key(1));
  std::shuffle(chain.begin(), chain.end(), std::mt19937(3));
  ChainCheck check;
  for (const auto& receipt : chain) ASSERT_TRUE(check.add(receipt));
  EXPECT_EQ(check.links(), 49u);
  EXPECT_TRUE(check.is_complete());
  ASSERT_TRUE(check.add(chain.front())) << "the same receipt twice is no fork";
  EXPECT_EQ(check.receipts(), 50u);
}

TEST(ChainCheck, ADroppedReceiptLeavesAGap) {
  const auto chain = make_chain(5, make_key(1));
  ChainCheck check;
  for (const std::size_t i : {0, 1, 3, 4}) ASSERT_TRUE(check.add(chain[i]));
  EXPECT_FALSE(check.is_complete());
}

TEST(ChainCheck, AnExchangedReceiptBreaksBothItsNeighboursEvenWhenItsSignatureIsGood) {
  const Ed25519Key key = make_key(1);
  const auto chain = make_chain(3, key);
  const SignedReceipt cheaper = make_signed(make_receipt(2, chain[1].receipt.previous, 1), key);
  ChainCheck before;
  ASSERT_TRUE(before.add(chain[2]));
  EXPECT_EQ(before.add(cheaper).error().reason, "chain_broken");
  ChainCheck after;
  ASSERT_TRUE(after.add(cheaper));
  EXPECT_EQ(after.add(chain[2]).error().reason, "chain_broken");
  ChainCheck both;
  ASSERT_TRUE(both.add(chain[1]));
  EXPECT_EQ(both.add(cheaper).error().reason, "chain_fork");
}

TEST(ChainCheck, TheFirstHasNoPredecessor) {
  ChainCheck check;
  EXPECT_EQ(check.add(make_signed(make_receipt(1, sha256("x")), make_key(1))).error().reason, "bad_genesis");
}

}  // namespace
}  // namespace tidegate::receipt
