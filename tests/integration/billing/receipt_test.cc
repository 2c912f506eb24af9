#include <fmt/format.h>

#include <span>

#include "base/pg/pool.h"
#include "base/receipt/checkpoint.h"
#include "base/receipt/group.h"
#include "base/receipt/merkle.h"
#include "base/receipt/receipt_check.h"
#include "base/receipt_event/event_receipt.h"
#include "billing/adapters/receipt_days.h"
#include "tests/integration/billing/house.h"
#include "tidegate/v1/receipt.grpc.pb.h"

namespace tidegate::billing {
namespace {

using ReceiptsApi = class v1::Receipts::Stub::async;
using LookupApi = class v1::ReceiptLookup::Stub::async;

struct ReceiptTest : House {
  ReceiptTest() {
    acme = make_customer("acme", "100");
    epoch = open_signed("g1", key);
    lease = accounts(&AccountsApi::AcquireLease, lease_request(acme, epoch, "10")).value();
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    receipts_channel = rpc::make_channel(billing_->address(), options).value();
    receipts = std::make_unique<rpc::Client<v1::Receipts>>(receipts_channel);
    options.token = config_.cluster_token;
    lookup_channel = rpc::make_channel(billing_->address(), options).value();
    lookup = std::make_unique<rpc::Client<v1::ReceiptLookup>>(lookup_channel);
  }
  ~ReceiptTest() override {
    receipts_channel->shut();
    lookup_channel->shut();
  }

  v1::OpenEpochRequest signed_epoch(const std::string& gateway, const Ed25519Key& with) {
    v1::OpenEpochRequest request = epoch_request(gateway);
    request.set_receipt_key(with.public_key().raw());
    request.set_deployment("tide-test");
    return request;
  }
  std::uint64_t open_signed(const std::string& gateway, const Ed25519Key& with) {
    return accounts(&AccountsApi::OpenEpoch, signed_epoch(gateway, with)).value().epoch();
  }
  v1::UsageBatch next_batch(int count) {
    std::vector<v1::UsageEvent> events;
    for (int i = 0; i < count; ++i) events.push_back(make_event(acme, lease, ++sequence));
    v1::UsageBatch batch = make_batch(epoch, std::move(events));
    sign(batch, key, link);
    return batch;
  }
  /// Submits `count` events with receipts; their request ids.
  std::vector<std::string> bill(int count) {
    const v1::UsageBatch batch = next_batch(count);
    const auto ack = submit(batch);
    EXPECT_TRUE(ack) << ack.error().to_string();
    std::vector<std::string> ids;
    for (const auto& event : batch.events()) ids.push_back(RequestId::from_bytes(event.request_id())->to_string());
    return ids;
  }
  static Digest link_of_event(const v1::UsageBatch& batch, int i) {
    return receipt::link_of(
        receipt::encode_body(receipt_of(batch.events(i), batch.gateway_id(), batch.epoch()).value()));
  }
  Result<receipt::SignedReceipt> get(const std::string& id) {
    v1::GetReceiptRequest request;
    request.set_request_id(id);
    auto item = receipts->call_blocking(&ReceiptsApi::GetReceipt, std::move(request), soon());
    if (!item) return fail(item.error());
    return receipt::decode_signed(item->receipt());
  }
  Result<v1::ReceiptProof> prove(const std::string& id) {
    v1::ProveReceiptRequest request;
    request.set_request_id(id);
    return receipts->call_blocking(&ReceiptsApi::ProveReceipt, std::move(request), soon());
  }
  v1::ListReceiptKeysResponse keys() {
    return receipts->call_blocking(&ReceiptsApi::ListReceiptKeys, v1::ListReceiptKeysRequest(), soon()).value();
  }
  /// What the job does at midnight after `day`.
  std::int64_t seal(const std::string& day) {
    pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
    EXPECT_TRUE(pool.run_blocking(soon(), [&](pqxx::work& tx) -> Status {
      cut_day(tx, day);
      return {};
    }));
    std::int64_t differences = 0;
    EXPECT_TRUE(pool.run_blocking(soon(), [&](pqxx::work& tx) -> Status {
      while (const auto cut = next_cut(tx)) {
        ReceiptAudit audit(to_ring(list_receipt_keys(tx)), 1);
        seal_day(tx, *cut, "tide-test", root_key_, clock_.wall(), audit);
        differences += audit.differences();
      }
      return {};
    }));
    return differences;
  }

  Ed25519Key key = Ed25519Key::mint(entropy_);
  Customer acme;
  std::uint64_t epoch = 0;
  v1::Lease lease;
  std::uint64_t sequence = 0;
  Digest link{};
  std::shared_ptr<rpc::Channel> receipts_channel, lookup_channel;
  std::unique_ptr<rpc::Client<v1::Receipts>> receipts;
  std::unique_ptr<rpc::Client<v1::ReceiptLookup>> lookup;
};

TEST_F(ReceiptTest, AReceiptComesBackAsTheVeryBytesThatWereSigned) {
  const v1::UsageBatch batch = next_batch(3);
  ASSERT_TRUE(submit(batch));
  receipt::ChainCheck chain;
  for (const auto& event : batch.events()) {
    const auto receipt = get(RequestId::from_bytes(event.request_id())->to_string());
    ASSERT_TRUE(receipt) << receipt.error().to_string();
    EXPECT_EQ(receipt->envelope.signature, event.receipt().signature());
    EXPECT_TRUE(receipt::verify_signature(receipt->envelope, key.public_key()));
    EXPECT_TRUE(receipt::check_arithmetic(receipt->receipt));
    EXPECT_EQ(receipt->receipt.amount.to_string(), event.amount());
    EXPECT_TRUE(chain.add(*receipt));
  }
  EXPECT_TRUE(chain.is_complete());
  ASSERT_TRUE(submit(batch)) << "told again, nothing changes";
  EXPECT_EQ(query("SELECT count(*) FROM receipt_batches"), "1");
  expect_reconciled();
}

TEST_F(ReceiptTest, ReceiptsOfOneCommitComeBackAsTheirVeryBytesAndShareAStoredSignature) {
  v1::UsageBatch batch = next_batch(7);  // one alone, a group of five, and one whose group is not here
  std::vector<Digest> links;
  for (int i = 0; i < 7; ++i) links.push_back(link_of_event(batch, i));
  const std::span<const Digest> five = std::span<const Digest>(links).subspan(1, 5);
  const receipt::Group group(five, key);
  for (int i = 1; i < 6; ++i) {
    batch.mutable_events(i)->mutable_receipt()->set_signature(group.signature_of(static_cast<std::uint32_t>(i - 1)));
  }
  const std::vector<Digest> cut{links[6], sha256("of the next batch")};
  batch.mutable_events(6)->mutable_receipt()->set_signature(receipt::Group(cut, key).signature_of(0));
  ASSERT_TRUE(submit(batch));
  std::vector<std::string> ids;
  for (const auto& event : batch.events()) {
    ids.push_back(RequestId::from_bytes(event.request_id())->to_string());
    const auto receipt = get(ids.back());
    ASSERT_TRUE(receipt) << receipt.error().to_string();
    EXPECT_EQ(receipt->envelope.signature, event.receipt().signature());
    EXPECT_TRUE(receipt::verify_signature(receipt->envelope, key.public_key()));
  }
  EXPECT_EQ(query("SELECT octet_length(signatures) FROM receipt_batches"), "192");
  EXPECT_EQ(seal("2026-11-21"), 0) << "the job verifies all of them";
  for (const auto& id : ids) EXPECT_TRUE(prove(id));
  expect_reconciled();
}

TEST_F(ReceiptTest, ATenantSeesItsOwnReceiptsOnly) {
  const auto ids = bill(1);
  const Customer other = make_customer("other", "0");
  const auto find = [&](const Customer& customer) {
    v1::FindReceiptRequest request;
    request.set_tenant_id(std::string(TenantId::parse(customer.tenant.tenant_id())->raw()));
    request.set_request_id(ids[0]);
    return lookup->call_blocking(&LookupApi::FindReceipt, std::move(request), soon());
  };
  EXPECT_TRUE(find(acme));
  EXPECT_EQ(find(other).error().reason, "unknown_request");
  v1::ListReceiptsRequest list;
  list.set_tenant("other");
  EXPECT_EQ(receipts->call_blocking(&ReceiptsApi::ListReceipts, list, soon()).value().receipts_size(), 0);
  list.set_tenant("acme");
  EXPECT_EQ(receipts->call_blocking(&ReceiptsApi::ListReceipts, list, soon()).value().receipts_size(), 1);
}

TEST_F(ReceiptTest, AReceiptThatDoesNotFitIsRefusedWithItsWholeBatch) {
  bill(1);
  const Digest head = link;
  const auto refused = [&](auto spoil) {
    link = head;
    sequence = 1;
    v1::UsageBatch batch = next_batch(2);
    spoil(batch);
    const auto ack = submit(batch);
    EXPECT_EQ(query("SELECT count(*) FROM usage_log"), ack ? "3" : "1");
    return ack ? "accepted" : ack.error().reason + " " + ack.error().field;
  };
  EXPECT_EQ(
      refused([](v1::UsageBatch& b) { b.mutable_events(1)->mutable_receipt()->set_previous(std::string(32, 'x')); }),
      "bad_receipt events[1].receipt");
  EXPECT_EQ(refused([](v1::UsageBatch& b) { b.mutable_events(0)->clear_receipt(); }), "bad_receipt events[0].receipt");
  // What follows a changed receipt must follow the changed one, or it is the chain that breaks.
  const auto relink = [](v1::UsageBatch& b) {
    const Digest moved = link_of_event(b, 0);
    b.mutable_events(1)->mutable_receipt()->set_previous(std::string(as_view(moved)));
  };
  EXPECT_EQ(refused([&](v1::UsageBatch& b) {
              b.mutable_events(0)->mutable_receipt()->mutable_lines(0)->set_amount("1");
              relink(b);
            }),
            "bad_receipt events[0].receipt");
  EXPECT_EQ(refused([&](v1::UsageBatch& b) {
              b.mutable_events(0)->mutable_receipt()->set_price_book("cheaper");
              relink(b);
            }),
            "bad_receipt events[0].receipt");
  EXPECT_EQ(refused([](v1::UsageBatch& b) { b.mutable_events(1)->mutable_receipt()->set_signature("short"); }),
            "bad_receipt events[1].receipt");
  EXPECT_EQ(refused([](v1::UsageBatch& b) {
              for (auto& event : *b.mutable_events()) event.mutable_receipt()->set_key_id("0123456789abcdef");
            }).substr(0, 21),
            "foreign_key_violation")
      << "a key that nobody registered";
  EXPECT_EQ(refused([](v1::UsageBatch&) {}), "accepted");
}

TEST_F(ReceiptTest, AGatewayThatRecoversHearsWhereTheChainEnds) {
  bill(2);
  const auto opened = accounts(&AccountsApi::OpenEpoch, signed_epoch("g1", key));
  ASSERT_TRUE(opened);
  ASSERT_EQ(opened->unclosed_size(), 1);
  EXPECT_EQ(opened->unclosed(0).receipt_link(), as_view(link));
}

TEST_F(ReceiptTest, AnotherKeyRetiresTheOneBeforeAndBothStayPublished) {
  const Ed25519Key next = Ed25519Key::mint(entropy_);
  open_signed("g1", next);
  std::map<std::string, bool> is_retired;
  const auto published = keys();
  for (const auto& each : published.keys()) is_retired[each.key_id()] = each.valid_to_us() != 0;
  EXPECT_EQ(is_retired.size(), 3u) << "two of the gateway, one of billing";
  EXPECT_TRUE(is_retired.at(key.public_key().id()));
  EXPECT_FALSE(is_retired.at(next.public_key().id()));
  EXPECT_FALSE(is_retired.at(root_key_.public_key().id()));
  EXPECT_EQ(accounts(&AccountsApi::OpenEpoch, signed_epoch("g1", key)).error().reason, "receipt_key_retired");
  EXPECT_EQ(accounts(&AccountsApi::OpenEpoch, signed_epoch("g2", next)).error().reason, "receipt_key_taken");
}

TEST_F(ReceiptTest, EveryReceiptOfASealedDayIsProvedByItsRoot) {
  const auto early = bill(1);
  EXPECT_EQ(prove(early[0]).error().reason, "day_not_sealed");
  auto ids = bill(1000);
  for (const auto& id : bill(300)) ids.push_back(id);
  ids.push_back(early[0]);
  EXPECT_EQ(seal("2026-11-21"), 0);
  const auto late = bill(2);
  EXPECT_EQ(seal("2026-11-21"), 0) << "again: nothing";
  EXPECT_EQ(prove(late[0]).error().reason, "day_not_sealed");
  EXPECT_EQ(seal("2026-11-22"), 0);
  EXPECT_EQ(prove(late[0]).value().day(), "2026-11-22") << "what comes late is in a later day's tree";
  for (std::size_t i = 0; i < ids.size(); i += 97) {
    const auto proof = prove(ids[i]);
    ASSERT_TRUE(proof) << proof.error().to_string();
    const auto root = receipt::decode_checkpoint(proof->checkpoint());
    ASSERT_TRUE(root);
    EXPECT_TRUE(receipt::verify_signature(root->envelope, root_key_.public_key()));
    EXPECT_EQ(root->checkpoint.log, "receipts/2026-11-21");
    EXPECT_EQ(root->checkpoint.size, 1301u);
    const auto mine = get(ids[i]);
    ASSERT_TRUE(mine);
    EXPECT_EQ(proof->link(), as_view(receipt::link_of(mine->envelope.body)));
    std::vector<Digest> path;
    for (const auto& node : proof->path()) {
      path.emplace_back();
      std::ranges::copy(node, path.back().begin());
    }
    EXPECT_TRUE(merkle::verify_inclusion(merkle::leaf_hash(proof->link()), proof->index(), root->checkpoint.size, path,
                                         root->checkpoint.root));
  }
  expect_reconciled();
  fmt::print("receipts: {} bytes an event stored, bodies compressed\n",
             query("SELECT round(pg_total_relation_size('receipt_batches') / 1303.0)"));
}

TEST_F(ReceiptTest, TheReconcileJobSeesWhateverIsChangedAfterwards) {
  const auto ids = bill(20);
  bill(20);
  ASSERT_EQ(seal("2026-11-21"), 0);
  expect_reconciled();
  const auto broken_by = [&](const std::string& change, const std::string& undo) {
    force(change);
    const std::string found = broken_checks();
    force(undo);
    EXPECT_EQ(broken_checks(), "") << undo;
    return found.find("I14") != std::string::npos;
  };
  force(
      "CREATE TABLE kept_batches AS SELECT * FROM receipt_batches; CREATE TABLE kept_log AS SELECT * FROM usage_log;"
      "CREATE TABLE kept_days AS SELECT * FROM receipt_days; CREATE TABLE kept_chunks AS SELECT * FROM receipt_chunks");
  const std::string restore =
      "UPDATE receipt_batches b SET bodies = k.bodies, previous = k.previous, signatures = k.signatures, "
      "signature_runs = k.signature_runs "
      "FROM kept_batches k WHERE k.id = b.id";
  EXPECT_TRUE(broken_by(
      "UPDATE receipt_batches SET bodies = set_byte(bodies, 200, get_byte(bodies, 200) # 1) WHERE first_seq = 1",
      restore));
  EXPECT_TRUE(
      broken_by("UPDATE receipt_batches SET previous = set_byte(previous, 0, get_byte(previous, 0) # 1) WHERE "
                "first_seq = 21",
                restore));
  EXPECT_TRUE(broken_by(fmt::format("UPDATE usage_log SET output = output + 1 WHERE id = '{}'", ids[3]),
                        "UPDATE usage_log u SET output = k.output FROM kept_log k WHERE k.id = u.id"));
  EXPECT_TRUE(broken_by("UPDATE receipt_days SET checkpoint = set_byte(checkpoint, 60, get_byte(checkpoint, 60) # 1)",
                        "UPDATE receipt_days d SET checkpoint = k.checkpoint FROM kept_days k WHERE k.day = d.day"));
  EXPECT_TRUE(broken_by(
      "UPDATE receipt_chunks SET root = set_byte(root, 0, get_byte(root, 0) # 1)",
      "UPDATE receipt_chunks c SET root = k.root FROM kept_chunks k WHERE (k.day, k.chunk) = (c.day, c.chunk)"));
}

TEST_F(ReceiptTest, WhatIsStoredCannotBeChangedOrTakenAway) {
  bill(1);
  ASSERT_EQ(seal("2026-11-21"), 0);
  pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
  for (const char* sql :
       {"UPDATE receipt_batches SET key_id = key_id", "DELETE FROM receipt_batches", "UPDATE receipt_days SET size = 0",
        "DELETE FROM receipt_chunks", "DELETE FROM receipt_cuts"}) {
    const auto done = pool.run_blocking(soon(), [sql](pqxx::work& tx) -> Status {
      tx.exec(sql);
      return {};
    });
    EXPECT_EQ(done.error().reason, "check_violation") << sql;
  }
}

}  // namespace
}  // namespace tidegate::billing
