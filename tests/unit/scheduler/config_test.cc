#include "scheduler/config.h"

#include <gtest/gtest.h>

#include <string>

#include "base/crypto/api_key.h"
#include "base/crypto/sha256.h"

namespace tidegate::scheduler::config_test {
namespace {

class SchedulerConfigTest : public ::testing::Test {
 protected:
  SchedulerConfigTest() {
    SystemEntropy entropy;
    config_.grpc_listen = "unix:/run/a.sock";
    config_.cluster_token = "0123456789abcdef0123456789abcdef-of-a-test";
    config_.admin_key = mint_api_key(entropy, KeyKind::kAdmin).text;
    config_.worker_binary = config_.run_dir = config_.socket_dir = config_.cluster_token_file = "/somewhere";
  }
  std::string refused_with(const std::string& peers) {
    config_.peers = peers;
    const Status checked = check_config(config_);
    return checked ? "accepted" : checked.error().field + ": " + checked.error().message;
  }
  SchedulerConfig config_;
};

TEST_F(SchedulerConfigTest, PeersAreAddressesOfOthers) {
  EXPECT_EQ(refused_with(""), "accepted");
  EXPECT_EQ(refused_with("unix:/run/b.sock"), "accepted");
  EXPECT_EQ(refused_with("unix:/run/b.sock,c.internal:8092"), "accepted");
  for (const char* peers : {"unix:/run/a.sock", "b", "unix:/run/b.sock,", "b:1,b:1", "b:1,b:2,b:3,b:4,b:5,b:6,b:7,b:8"}) {
    EXPECT_TRUE(refused_with(peers).starts_with("scheduler.peers: scheduler.peers, read with grpc.listen: ")) << refused_with(peers);
  }
}

TEST_F(SchedulerConfigTest, LimitsOfWorkersAreCheckedBeforeAnythingStarts) {
  config_.limits.memory_bytes_max = (64LL << 20) - 1;
  Status checked = check_config(config_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().field, "local.memory_limit_bytes");
  config_.limits.memory_bytes_max = 64LL << 20;
  EXPECT_TRUE(check_config(config_));
  config_.limits.by = "cgroup";
  checked = check_config(config_);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().field, "local.cgroup_dir");
  config_.limits.cgroup_dir = "/sys/fs/cgroup/tidegate";
  EXPECT_TRUE(check_config(config_));
}

}  // namespace
}  // namespace tidegate::scheduler::config_test
