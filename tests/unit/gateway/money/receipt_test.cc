#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/receipt/receipt_check.h"
#include "base/receipt_event/event_receipt.h"
#include "tests/unit/gateway/money/money_world.h"

// The client's receipt says what billing is told, stands in the journal's order, and survives whatever the
// journal does. FakeBilling refuses an event whose receipt does not follow, does not verify or does not add
// up.
namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct ReceiptTest : test::MoneyWorld {
  receipt::SignedReceipt settled(std::int64_t prompt, std::int64_t completion, std::size_t lane = 1) {
    auto charge = admit(request(), lane);
    EXPECT_TRUE(charge) << charge.error().to_string();
    const auto settlement = settle(**charge, report(prompt, completion), lane);
    EXPECT_TRUE(settlement);
    auto read = receipt::decode_signed(settlement->receipt);
    EXPECT_TRUE(read) << read.error().to_string();
    return *std::move(read);
  }
  receipt::KeyRing ring() const {
    const Ed25519PublicKey& key = config.receipts->key.public_key();
    return {{key.id(), receipt::PublishedKey{key, "gateway/gw-1", 0, std::nullopt}}};
  }
  void crash() {
    disk.fail_after_operations(0);
    billing.set_down(true);
    drain(Duration::zero());
    disk.kill();
    billing.set_down(false);
  }
};

TEST_F(ReceiptTest, SaysWhatTheAnswerCostAndVerifiesOffline) {
  begin_and_wait();
  const receipt::SignedReceipt receipt = settled(12, 34);
  EXPECT_TRUE(receipt::verify_receipt(receipt, ring()));
  EXPECT_TRUE(receipt::check_arithmetic(receipt.receipt));
  const receipt::Receipt& r = receipt.receipt;
  EXPECT_EQ(r.sequence, 1u);
  EXPECT_EQ(r.previous, Digest{});
  EXPECT_EQ(r.gateway_id, "gw-1");
  EXPECT_EQ(r.epoch, treasury->epoch());
  EXPECT_EQ(r.deployment, "tide-test");
  EXPECT_EQ(r.caller.size(), 8u);
  EXPECT_EQ(r.model, "tang-moe");
  EXPECT_EQ(r.variant, "bf16");
  EXPECT_EQ(r.weights_digest, "sha256:00");
  EXPECT_EQ(r.prompt_tokens, 12);
  EXPECT_EQ(r.completion_tokens, 34);
  EXPECT_EQ(r.price_book, "test-book");
  EXPECT_EQ(r.price_version, 1);
  EXPECT_EQ(r.band, "flat");
  EXPECT_EQ(r.basis, receipt::PriceBasis::kCompletedAt);
  EXPECT_EQ(r.priced_us, r.completed_us);
  EXPECT_EQ(r.amount, money("0.000046"));
  ASSERT_EQ(r.lines.size(), 3u);
  EXPECT_EQ(r.lines[2].meter, "output");
  EXPECT_EQ(r.lines[2].quantity, 34);
}

TEST_F(ReceiptTest, TheChainIsTheJournalsOrderWhateverTheThreads) {
  begin_and_wait();
  std::vector<receipt::SignedReceipt> all;
  std::mutex mutex;
  std::vector<std::thread> clients;
  for (const std::size_t lane : {1, 2}) {
    clients.emplace_back([&, lane] {
      for (int i = 0; i < 20; ++i) {
        AdmissionRequest what;
        {
          const std::lock_guard lock(mutex);
          what = request();
        }
        auto charge = admit(std::move(what), lane);
        ASSERT_TRUE(charge);
        const auto settlement = settle(**charge, report(i, i), lane);
        ASSERT_TRUE(settlement);
        const std::lock_guard lock(mutex);
        all.push_back(*receipt::decode_signed(settlement->receipt));
      }
    });
  }
  for (auto& client : clients) client.join();
  receipt::ChainCheck chain;
  for (const auto& each : all) {
    ASSERT_TRUE(receipt::verify_receipt(each, ring()));
    ASSERT_TRUE(chain.add(each));
  }
  EXPECT_EQ(chain.links(), 39u);
  EXPECT_TRUE(chain.is_complete());
  ASSERT_TRUE(drain());
  EXPECT_EQ(billing.events().size(), 40u) << "billing found every receipt in its place";
}

TEST_F(ReceiptTest, WhatBillingGetsAfterACrashIsTheVeryReceiptTheClientHas) {
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 1'000'000);
  const receipt::SignedReceipt first = settled(3, 4);
  const receipt::SignedReceipt second = settled(5, 6);
  EXPECT_EQ(second.receipt.previous, receipt::link_of(first.envelope.body));
  crash();
  billing.fail_next(Call::kSubmit, Error(), false, 0);
  begin_and_wait();
  for (const auto& mine : {first, second}) {
    const auto event = billing.event(mine.receipt.request);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->receipt().signature(), mine.envelope.signature);
    EXPECT_EQ(event->receipt().key_id(), mine.envelope.key_id);
  }
}

TEST_F(ReceiptTest, AStreamCutByACrashGetsAReceiptThatFollowsTheOthers) {
  begin_and_wait();
  auto cut = admit(request());
  ASSERT_TRUE(cut);
  const RequestId id = test::request_id(next_request - 1);
  (*cut)->on_accepted({.prompt = 10, .cached = 0, .completion = 0, .reasoning = 0}, "worker-1");
  for (int tokens = 1; tokens <= 200; ++tokens) {
    (*cut)->on_progress({.prompt = 10, .cached = 0, .completion = tokens, .reasoning = 0});
  }
  const receipt::SignedReceipt before = settled(1, 1);  // what is on disk has everything before it on disk
  disk.fail_after_operations(0);
  billing.set_down(true);
  cut->reset();
  crash();
  begin_and_wait();
  const auto event = billing.event(id);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->status(), v1::USAGE_STATUS_INTERRUPTED);
  EXPECT_EQ(event->receipt().previous(), as_view(receipt::link_of(before.envelope.body)));
  const auto receipt = receipt_of(*event, "gw-1", before.receipt.epoch);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->status, receipt::ReceiptStatus::kInterrupted);
  EXPECT_TRUE(receipt::check_arithmetic(*receipt));
}

TEST_F(ReceiptTest, AKeyRotatedBetweenACrashAndItsRecoveryKeepsTheChain) {
  begin_and_wait();
  billing.fail_next(Call::kSubmit, Error(Code::kUnavailable, "rpc_unavailable", ""), false, 1'000'000);
  const receipt::SignedReceipt mine = settled(3, 4);
  crash();
  billing.fail_next(Call::kSubmit, Error(), false, 0);
  config.receipts->key = Ed25519Key::mint(entropy);
  begin_and_wait();
  const auto event = billing.event(mine.receipt.request);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->receipt().key_id(), config.receipts->key.public_key().id());
  const auto again = receipt_of(*event, "gw-1", mine.receipt.epoch);
  ASSERT_TRUE(again);
  EXPECT_EQ(receipt::link_of(receipt::encode_body(*again)), receipt::link_of(mine.envelope.body));
}

/// What the journal does with FINALs, without a disk.
struct DeskTest : ReceiptTest {
  struct Kept {
    ReceiptDesk::DraftPtr draft;
    v1::UsageEvent event;
  };
  Kept append(ReceiptDesk& desk) {
    v1::UsageEvent event;
    event.set_request_id(std::string(test::request_id(next_request++).raw()));
    event.set_tenant_id(std::string(16, 't'));
    event.set_project_id(std::string(16, 'p'));
    event.set_model("tang-moe");
    event.set_amount("0");
    event.mutable_receipt()->set_deployment("tide-test");
    event.mutable_receipt()->set_currency("USD");
    Record record{.type = RecordType::kFinal, .sequence = 0, .request = {}, .payload = event.SerializeAsString()};
    Kept kept;
    kept.draft = desk.attach(record, event).value();
    record.seal(++sequence, record.payload);
    EXPECT_TRUE(kept.event.ParseFromString(record.payload));
    kept.event.set_sequence(sequence);
    return kept;
  }
  receipt::SignedReceipt receipt_of_client(ReceiptDesk& desk, const Kept& kept) {
    return receipt::decode_signed(desk.sign(*kept.draft)).value();
  }
  std::uint64_t sequence = 0;
};

TEST_F(DeskTest, ACommitIsSignedOnceAndBillingGetsWhatTheClientHas) {
  ReceiptDesk desk(*config.receipts, "gw-1", 1);
  std::vector<Kept> commit;
  for (int i = 0; i < 7; ++i) commit.push_back(append(desk));
  desk.sign_commit();
  std::set<std::string> signatures;
  receipt::ChainCheck chain;
  for (Kept& each : commit) {
    const receipt::SignedReceipt mine = receipt_of_client(desk, each);
    EXPECT_TRUE(receipt::verify_receipt(mine, ring()));
    EXPECT_TRUE(chain.add(mine));
    signatures.insert(mine.envelope.signature.substr(0, receipt::kSignatureBytes));
    ASSERT_TRUE(desk.complete(each.event));
    EXPECT_EQ(each.event.receipt().signature(), mine.envelope.signature);
  }
  EXPECT_EQ(signatures.size(), 1u);
  EXPECT_TRUE(chain.is_complete());
}

TEST_F(DeskTest, OneAloneInItsCommitHasTheSignatureThatAnybodyCanMakeAgain) {
  ReceiptDesk desk(*config.receipts, "gw-1", 1);
  const Kept alone = append(desk);
  desk.sign_commit();
  append(desk);
  append(desk);
  desk.sign_commit();
  EXPECT_EQ(desk.sign(*alone.draft), receipt::sign_body(alone.draft->body, config.receipts->key));
}

TEST_F(DeskTest, AfterACrashAReceiptOfACommitIsSignedAloneAndIsTheSameReceipt) {
  ReceiptDesk before(*config.receipts, "gw-1", 1);
  std::vector<Kept> commit;
  for (int i = 0; i < 3; ++i) commit.push_back(append(before));
  before.sign_commit();
  ReceiptDesk after(*config.receipts, "gw-1", 1, receipt::link_of(commit.back().draft->body));
  for (Kept& each : commit) {
    const receipt::SignedReceipt mine = receipt_of_client(before, each);
    ASSERT_TRUE(after.complete(each.event));
    const auto body = receipt::encode_body(receipt_of(each.event, "gw-1", 1).value());
    const auto again =
        receipt::decode_signed(receipt::join(body, each.event.receipt().key_id(), each.event.receipt().signature()));
    ASSERT_TRUE(again);
    EXPECT_TRUE(receipt::verify_receipt(*again, ring()));
    EXPECT_FALSE(again->envelope.is_grouped());
    EXPECT_EQ(receipt::link_of(again->envelope.body), receipt::link_of(mine.envelope.body));
  }
}

TEST_F(ReceiptTest, WithoutAKeyThereIsNoGateway) {
  config.receipts.reset();
  EXPECT_FALSE(try_begin());
}

}  // namespace
}  // namespace tidegate::gateway
