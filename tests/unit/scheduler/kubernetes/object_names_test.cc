#include "scheduler/drivers/kubernetes/objects/object_names.h"

#include <gtest/gtest.h>

#include "scheduler/drivers/kubernetes/objects/paths.h"

namespace tidegate::scheduler::kube {
namespace {

TEST(ObjectNames, ShortNamesStayReadable) {
  EXPECT_EQ(workload_name("chat-0"), "tg-chat-0");
  EXPECT_EQ(deployment_object_name("chat"), "tgd-chat");
}

TEST(ObjectNames, LongOrOddNamesAreCutAndToldApart) {
  const std::string longest(63, 'a');
  for (const std::string& name : {longest + "-0", longest + "-1", longest + "-1023", std::string("a-")}) {
    EXPECT_LE(workload_name(name).size(), 47u) << name;
    EXPECT_TRUE(check_dns_label(workload_name(name), "x")) << workload_name(name);
  }
  EXPECT_NE(workload_name(longest + "-0"), workload_name(longest + "-1"));
  EXPECT_NE(workload_name("a-"), workload_name("a"));
  EXPECT_EQ(workload_name(longest + "-0"), workload_name(longest + "-0"));
}

TEST(ObjectNames, DnsLabelsAreChecked) {
  for (const char* good : {"a", "a-b", "0"}) EXPECT_TRUE(check_dns_label(good, "x")) << good;
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b"}) EXPECT_FALSE(check_dns_label(bad, "x")) << bad;
  EXPECT_FALSE(check_dns_label(std::string(64, 'a'), "x"));
}

TEST(Paths, NameCollectionsAndObjects) {
  EXPECT_EQ(object_path(Collection::kDeployments, "ns", "x"), "/apis/apps/v1/namespaces/ns/deployments/x");
  EXPECT_EQ(collection_path(Collection::kPods, "ns"), "/api/v1/namespaces/ns/pods");
  EXPECT_EQ(query_text("a/b=c d"), "a%2Fb%3Dc%20d");
}

}  // namespace
}  // namespace tidegate::scheduler::kube
