#include "base/pg/pool.h"
#include "base/receipt/checkpoint.h"
#include "base/receipt/merkle.h"
#include "billing/adapters/audit_store.h"
#include "tests/integration/billing/house.h"
#include "tidegate/v1/audit.grpc.pb.h"

namespace tidegate::billing {
namespace {

using AuditApi = class v1::AuditLog::Stub::async;

struct AuditTest : House {
  AuditTest() {
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel = rpc::make_channel(billing_->address(), options).value();
    audit = std::make_unique<rpc::Client<v1::AuditLog>>(channel);
  }
  ~AuditTest() override { channel->shut(); }

  v1::ListAuditResponse log() {
    v1::ListAuditRequest request;
    request.set_limit(1000);
    return audit->call_blocking(&AuditApi::ListAudit, request, soon()).value();
  }
  std::uint64_t size() { return log().size(); }
  v1::AuditEntry last() {
    const auto all = log();
    return all.entries(all.entries_size() - 1);
  }
  std::string words() {
    std::string out;
    const auto all = log();
    for (const auto& entry : all.entries()) out += entry.changes();
    return out;
  }
  template <typename Fn>
  Status transact(Fn fn) {
    pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
    return pool.run_blocking(soon(), [&](pqxx::work& tx) -> Status {
      fn(tx);
      return {};
    });
  }

  std::shared_ptr<rpc::Channel> channel;
  std::unique_ptr<rpc::Client<v1::AuditLog>> audit;
};

TEST_F(AuditTest, EveryAdministrativeChangeHasItsEntryWithWhoAndFromWhereBeforeAndAfter) {
  const Customer acme = make_customer("acme", "5");
  std::uint64_t before = size();
  v1::SuspendTenantRequest suspend;
  suspend.set_tenant_id(acme.tenant.tenant_id());
  suspend.set_is_suspended(true);
  ASSERT_TRUE(admin(&AdminApi::SuspendTenant, suspend));
  ASSERT_EQ(size(), before + 1);
  EXPECT_EQ(last().actor(), "admin/" + config_.admin_key.substr(4, 8));
  EXPECT_NE(last().origin(), "");
  EXPECT_NE(last().changes().find(R"("is_suspended": false)"), std::string::npos);
  EXPECT_NE(last().changes().find(R"("is_suspended": true)"), std::string::npos);

  v1::TopUpRequest top_up;
  top_up.set_tenant("acme");
  top_up.set_amount("7.5");
  top_up.set_note("invoice 12");
  ASSERT_TRUE(admin(&AdminApi::TopUp, top_up));
  EXPECT_EQ(size(), before + 2);
  EXPECT_NE(last().changes().find("invoice 12"), std::string::npos);
  EXPECT_NE(last().changes().find("-7.500000000000"), std::string::npos) << last().changes();

  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(acme.key.key().key_id());
  ASSERT_TRUE(admin(&AdminApi::RevokeKey, revoke));
  EXPECT_EQ(size(), before + 3);
  EXPECT_NE(last().changes().find("revoked_at"), std::string::npos);
}

TEST_F(AuditTest, WhatOnlyReadsOrFailsLeavesNoEntryAndUsageLeavesNone) {
  const Customer acme = make_customer("acme", "5");
  const std::uint64_t before = size();
  ASSERT_TRUE(admin(&AdminApi::ListTenants, v1::ListTenantsRequest()));
  v1::CreateTenantRequest twice;
  twice.set_name("acme");
  ASSERT_FALSE(admin(&AdminApi::CreateTenant, twice));
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(acme, epoch, "1")).value();
  ASSERT_TRUE(submit(make_batch(epoch, {make_event(acme, lease, 1)})));
  EXPECT_EQ(size(), before);
}

TEST_F(AuditTest, NoSecretGetsIntoTheLog) {
  const Customer acme = make_customer("acme", "5");
  const std::string text = words();
  EXPECT_NE(text.find(acme.key.key().public_id()), std::string::npos);
  EXPECT_EQ(text.find("mac"), std::string::npos);
  EXPECT_EQ(text.find(acme.key.secret()), std::string::npos);
}

TEST_F(AuditTest, NoChangeCommitsWithoutItsEntryWhoeverMakesIt) {
  make_customer("acme", "5");
  const std::uint64_t before = size();
  ASSERT_TRUE(transact([](pqxx::work& tx) { tx.exec("UPDATE tenants SET billing_tz = 'Asia/Shanghai'"); }));
  ASSERT_EQ(size(), before + 1);
  EXPECT_TRUE(last().actor().starts_with("unattributed/")) << last().actor();
  // The log cannot be written: then the change is not made either.
  force("ALTER TABLE audit_entries RENAME TO audit_entries_away");
  EXPECT_FALSE(transact([](pqxx::work& tx) { tx.exec("UPDATE tenants SET billing_tz = 'UTC'"); }));
  force("ALTER TABLE audit_entries_away RENAME TO audit_entries");
  EXPECT_EQ(query("SELECT billing_tz FROM tenants"), "Asia/Shanghai");
  EXPECT_EQ(size(), before + 1);
}

TEST_F(AuditTest, ACheckpointProvesThatEarlierEntriesStand) {
  make_customer("acme", "5");
  ASSERT_TRUE(transact([&](pqxx::work& tx) { EXPECT_TRUE(sign_audit(tx, "tide-test", root_key_, clock_.wall())); }));
  const auto read = [&] {
    const auto newest =
        audit->call_blocking(&AuditApi::GetAuditCheckpoint, v1::GetAuditCheckpointRequest(), soon()).value();
    auto checkpoint = receipt::decode_checkpoint(newest.checkpoint()).value();
    EXPECT_TRUE(receipt::verify_signature(checkpoint.envelope, root_key_.public_key()));
    return checkpoint.checkpoint;
  };
  const receipt::Checkpoint older = read();
  EXPECT_EQ(older.size, size());
  make_customer("other", "5");
  ASSERT_TRUE(transact([&](pqxx::work& tx) { EXPECT_TRUE(sign_audit(tx, "tide-test", root_key_, clock_.wall())); }));
  ASSERT_TRUE(transact(
      [&](pqxx::work& tx) { EXPECT_FALSE(sign_audit(tx, "tide-test", root_key_, clock_.wall())) << "nothing new"; }));
  const receipt::Checkpoint newer = read();
  ASSERT_GT(newer.size, older.size);
  v1::ProveAuditRequest request;
  request.set_old_size(older.size);
  request.set_new_size(newer.size);
  const auto proof = audit->call_blocking(&AuditApi::ProveAudit, request, soon()).value();
  std::vector<Digest> path;
  for (const auto& node : proof.path()) {
    path.emplace_back();
    std::ranges::copy(node, path.back().begin());
  }
  EXPECT_TRUE(merkle::verify_consistency(older.size, older.root, newer.size, newer.root, path));
  request.set_old_size(0);
  EXPECT_EQ(audit->call_blocking(&AuditApi::ProveAudit, request, soon()).error().reason, "bad_size");
}

TEST_F(AuditTest, TheLogCannotBeRewrittenAndReconcileSeesItWhenItWas) {
  make_customer("acme", "5");
  EXPECT_FALSE(transact([](pqxx::work& tx) { tx.exec("UPDATE audit_entries SET actor = 'somebody'"); }));
  EXPECT_FALSE(transact([](pqxx::work& tx) { tx.exec("DELETE FROM audit_entries"); }));
  expect_reconciled();
  force("UPDATE audit_entries SET actor = 'somebody' WHERE number = 0");
  EXPECT_EQ(broken_checks(), "audit");
}

}  // namespace
}  // namespace tidegate::billing
