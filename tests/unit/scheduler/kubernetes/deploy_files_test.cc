// What deploy/kubernetes applies for Tidegate itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "scheduler/drivers/kubernetes/kube_config.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"
#include "tests/support/kube/schema_check.h"

namespace tidegate::scheduler {
namespace {

std::string folder() { return std::string(TG_SOURCE_DIR) + "/deploy/kubernetes"; }

json::array items(const std::string& file) {
  const auto document = json::parse_file(folder() + "/" + file);
  if (!document) throw std::runtime_error(document.error().to_string());
  return document->at("items").as_array();
}

json::object find(const std::string& file, std::string_view kind, std::string_view name) {
  for (const json::value& item : items(file)) {
    if (item.at("kind").as_string() == kind && item.at("metadata").at("name").as_string() == name)
      return item.as_object();
  }
  throw std::runtime_error("not there: " + std::string(name));
}

TEST(DeployFiles, EveryObjectIsValid) {
  const test::SchemaCheck schema = test::SchemaCheck::load();
  std::size_t objects = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() != ".json") continue;
    for (const json::value& item : items(entry.path().filename())) {
      EXPECT_THAT(schema.complaints(item.as_object()), ::testing::IsEmpty()) << entry.path() << json::serialize(item);
      ++objects;
    }
  }
  EXPECT_GT(objects, 10u);
}

// Wider rights are a decision, to be made here as well.
TEST(DeployFiles, SchedulerMayDoWhatTheDriverDoesAndNothingElse) {
  std::set<std::string> given;
  const json::object role = find("1-base.json", "Role", "tidegate-scheduler");
  for (const json::value& rule : role.at("rules").as_array()) {
    for (const json::value& resource : rule.at("resources").as_array()) {
      for (const json::value& verb : rule.at("verbs").as_array()) {
        given.insert(std::string(resource.as_string()) + " " + std::string(verb.as_string()));
      }
    }
  }
  std::set<std::string> needed = {"pods list",  "pods watch",    "pods delete",
                                  "leases get", "leases create", "leases update"};
  for (const char* applied :
       {"deployments", "leaderworkersets", "services", "poddisruptionbudgets", "networkpolicies"}) {
    for (const char* verb : {"create", "patch"}) needed.insert(std::string(applied) + " " + verb);
  }
  for (const char* followed : {"deployments", "leaderworkersets"}) {
    for (const char* verb : {"list", "watch", "delete"}) needed.insert(std::string(followed) + " " + verb);
  }
  EXPECT_EQ(given, needed);
}

TEST(DeployFiles, SchedulersOptionsAreTakenAndItsPoolsAreRead) {
  const json::object map = find("3-scheduler.json", "ConfigMap", "tidegate-scheduler");
  const std::string pools(map.at("data").at("pools.json").as_string());
  EXPECT_TRUE(kube::PoolShapes::parse(pools));
  // Only the driver's rows: the process's own are in its table, which reads the same lines.
  KubeConfig config;
  ConfigTable table("test");
  add_kube_rows(table, config);
  std::string own;
  const std::string text(map.at("data").at("scheduler.conf").as_string());
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.starts_with("kubernetes.")) own += line + "\n";
    at = end + 1;
  }
  const Status read = table.parse_text(own, "scheduler.conf");
  ASSERT_TRUE(read) << read.error().message;
  const Status checked = check_kube_config(config, "/models", false);
  EXPECT_TRUE(checked) << checked.error().message;
}

class KubeConfigTest : public ::testing::Test {
 protected:
  KubeConfigTest() {
    config_.objects.image = "i";
    config_.objects.scheduler_address = "s:1";
    config_.objects.token_secret = "t";
    config_.pools_file = "p";
  }
  std::string refused(bool tls_inside = false, const std::string& models_dir = "/models") const {
    const Status checked = check_kube_config(config_, models_dir, tls_inside);
    return checked ? "accepted" : checked.error().field;
  }
  KubeConfig config_;
};

TEST_F(KubeConfigTest, ComplaintsNameTheOption) {
  EXPECT_EQ(refused(), "accepted");
  EXPECT_EQ(refused(true), "kubernetes.tls_secret");
  config_.objects.models_volume = "pvc:models";
  EXPECT_EQ(refused(), "accepted");
  EXPECT_EQ(refused(false, "models"), "models.dir");
  config_.objects.models_volume = "nfs:models";
  EXPECT_EQ(refused(), "kubernetes.models_volume");
  config_.objects.models_volume = "hostpath:/srv";
  config_.objects.admin_port = config_.objects.grpc_port;
  EXPECT_EQ(refused(), "kubernetes.admin_port");
  config_.objects.admin_port = 9;
  config_.objects.gateway_label = "gateway";
  EXPECT_EQ(refused(), "kubernetes.gateway_label");
  config_.objects.gateway_label = "a=b";
  config_.objects.scheduler_address = "unix:/x";
  EXPECT_EQ(refused(), "kubernetes.scheduler_address");
  config_.objects.scheduler_address = "s:1";
  config_.objects.name_space = "Upper";
  EXPECT_EQ(refused(), "kubernetes.namespace");
}

}  // namespace
}  // namespace tidegate::scheduler
