#include "gateway/money/principal_cache.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"

namespace tidegate::gateway {
namespace {

struct PrincipalCacheTest : testing::Test {
  tidegate::test::SimClock clock;
  tidegate::test::SeededEntropy entropy;
  PrincipalCache cache{"pepper", clock};
  MintedKey key = mint_api_key(entropy, KeyKind::kTenant);

  KeyRecord record(const MintedKey& of) {
    auto principal = std::make_shared<Principal>();
    principal->public_id = of.public_id;
    return {.principal = principal, .mac = std::string(as_view(api_key_mac("pepper", of.text)))};
  }
  void load(KeyRecord entry) {
    cache.replace(std::make_shared<const KeyTable>(KeyTable{{key.public_id, std::move(entry)}}));
  }
};

TEST_F(PrincipalCacheTest, KnowsAKeyByItsWholeText) {
  load(record(key));
  const auto principal = cache.authenticate(key.text, {});
  ASSERT_TRUE(principal);
  EXPECT_EQ((*principal)->public_id, key.public_id);
}

TEST_F(PrincipalCacheTest, WrongUnknownMalformedAndAdminKeysGetTheSameAnswer) {
  load(record(mint_api_key(entropy, KeyKind::kTenant)));  // the id of `key`, the secret of another
  const auto wrong = cache.authenticate(key.text, {}).error();
  EXPECT_EQ(wrong.reason, "invalid_api_key");
  EXPECT_EQ(cache.authenticate(mint_api_key(entropy, KeyKind::kTenant).text, {}).error(), wrong);
  EXPECT_EQ(cache.authenticate(mint_api_key(entropy, KeyKind::kAdmin).text, {}).error(), wrong);
  EXPECT_EQ(cache.authenticate("tgk_", {}).error(), wrong);
  EXPECT_EQ(cache.authenticate("", {}).error(), wrong);
}

TEST_F(PrincipalCacheTest, ExpiresAtItsInstantExclusively) {
  KeyRecord entry = record(key);
  entry.expires = clock.wall() + std::chrono::seconds(1);
  load(entry);
  EXPECT_TRUE(cache.authenticate(key.text, {}));
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(cache.authenticate(key.text, {}).error().reason, "invalid_api_key");
}

TEST_F(PrincipalCacheTest, SuspendedTenantsAreTold) {
  KeyRecord entry = record(key);
  entry.is_suspended = true;
  load(entry);
  EXPECT_EQ(cache.authenticate(key.text, {}).error().code, Code::kPermissionDenied);
}

TEST_F(PrincipalCacheTest, AKeyIsGoodForItsScopesAndSourcesOnlyAndAWrongSecretLearnsNeither) {
  auto principal = std::make_shared<Principal>();
  principal->public_id = key.public_id;
  principal->policy.scopes = KeyScopes();
  principal->policy.scopes.add(KeyScope::kModels);
  principal->policy.sources = {*IpRange::parse("203.0.113.0/24")};
  load({.principal = principal, .mac = std::string(as_view(api_key_mac("pepper", key.text)))});
  const auto inside = IpAddress::parse("203.0.113.7"), outside = IpAddress::parse("198.51.100.7");
  EXPECT_TRUE(cache.authenticate(key.text, {KeyScope::kModels, inside}));
  EXPECT_EQ(cache.authenticate(key.text, {KeyScope::kChat, inside}).error().reason, "scope_not_allowed");
  EXPECT_EQ(cache.authenticate(key.text, {KeyScope::kModels, outside}).error().reason, "source_not_allowed");
  EXPECT_EQ(cache.authenticate(key.text, {KeyScope::kModels, std::nullopt}).error().reason, "source_not_allowed");
  EXPECT_EQ(cache.authenticate(key.text + "x", {KeyScope::kChat, outside}).error().reason, "invalid_api_key");
}

TEST_F(PrincipalCacheTest, BeforeTheFirstSnapshotNothingIsDecided) {
  EXPECT_EQ(cache.authenticate(key.text, {}).error().reason, "keys_not_loaded");
  EXPECT_FALSE(cache.is_loaded());
}

TEST_F(PrincipalCacheTest, ARequestKeepsItsPrincipalWhenTheTableMovesOn) {
  load(record(key));
  const auto principal = cache.authenticate(key.text, {});
  cache.replace(std::make_shared<const KeyTable>());
  EXPECT_EQ((*principal)->public_id, key.public_id);
  EXPECT_FALSE(cache.authenticate(key.text, {}));
}

TEST_F(PrincipalCacheTest, ReadersAndAWriterDoNotDisturbEachOther) {
  load(record(key));
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!is_over) EXPECT_TRUE(cache.authenticate(key.text, {}));
    });
  }
  for (int i = 0; i < 500; ++i) load(record(key));
  is_over = true;
}

}  // namespace
}  // namespace tidegate::gateway
