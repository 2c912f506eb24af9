#include "scheduler/drivers/kubernetes/api/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "scheduler/drivers/kubernetes/api/kube_access.h"
#include "tests/support/temp_dir.h"

namespace tidegate::scheduler::kube {
namespace {

using ::testing::HasSubstr;

std::string config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: main\ncontexts:\n- context:\n    cluster: c\n    user: u\n  "
         "name: main\n"
         "- context:\n    cluster: c\n    user: other\n  name: second\nclusters:\n- cluster:\n" +
         cluster + "  name: c\nusers:\n- name: u\n  user:\n" + user + "- name: other\n  user:\n    token: second\n";
}
const std::string kCluster = "    certificate-authority-data: Q0E=\n    server: https://h:6443\n";

std::string message_of(const std::string& cluster, const std::string& user, const std::string& context = {}) {
  const auto parsed = parse_kubeconfig(config(cluster, user), context);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(Kubeconfig, ReadsTheContextsClusterAndUser) {
  const auto parsed = parse_kubeconfig(
      config(kCluster + "    tls-server-name: api\n", "    client-certificate-data: QQ==\n    client-key: k.pem\n"),
      "");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->server, "https://h:6443");
  EXPECT_EQ(parsed->server_name, "api");
  EXPECT_EQ(parsed->authorities.inline_pem, "CA");
  EXPECT_EQ(parsed->certificate.inline_pem, "A");
  EXPECT_EQ(parsed->key.file, "k.pem");
  EXPECT_EQ(parse_kubeconfig(config(kCluster, "    token: first\n"), "")->token, "first");
  EXPECT_EQ(parse_kubeconfig(config(kCluster, "    token: first\n"), "second")->token, "second");
}

TEST(Kubeconfig, WhatItWillNotDoIsRefusedByName) {
  EXPECT_THAT(message_of(kCluster, "    exec:\n      command: aws\n"),
              HasSubstr("'exec' is not supported: no program is run"));
  EXPECT_THAT(message_of(kCluster, "    auth-provider:\n      name: gcp\n"),
              HasSubstr("'auth-provider' is not supported"));
  EXPECT_THAT(message_of(kCluster, "    username: me\n    password: secret\n"),
              HasSubstr("'username' is not supported"));
  EXPECT_THAT(message_of(kCluster, "    as: admin\n    token: t\n"), HasSubstr("'as' is not supported"));
  EXPECT_THAT(message_of("    insecure-skip-tls-verify: true\n    server: https://h\n", "    token: t\n"),
              HasSubstr("insecure-skip-tls-verify"));
  EXPECT_EQ(message_of(kCluster + "    insecure-skip-tls-verify: false\n", "    token: t\n"), "accepted");
  EXPECT_THAT(message_of(kCluster + "    proxy-url: http://p\n", "    token: t\n"), HasSubstr("proxy-url"));
  EXPECT_THAT(message_of(kCluster, "    client-certificate: a\n"), HasSubstr("go together"));
  EXPECT_THAT(message_of(kCluster, "    token: t\n", "third"), HasSubstr("contexts has no 'third'"));
  EXPECT_THAT(message_of("    server: https://h\n    certificate-authority-data: '*'\n", "    token: t\n"),
              HasSubstr("is not base64"));
}

TEST(Kubeconfig, MessagesHoldNoSecret) {
  const std::string message = message_of(kCluster, "    password: hunter2\n    token: hunter2\n");
  EXPECT_EQ(message.find("hunter2"), std::string::npos);
}

class KubeAccessTest : public ::testing::Test {
 protected:
  AccessOptions write(const std::string& text) {
    std::ofstream(folder_.file("config")) << text;
    AccessOptions options;
    options.kubeconfig = folder_.file("config");
    return options;
  }
  test::TempDir folder_;
};

TEST_F(KubeAccessTest, FilesOfAKubeconfigAreBesideIt) {
  std::ofstream(folder_.file("ca.pem")) << "CA";
  std::ofstream(folder_.file("token")) << "tok\n";
  const auto access = load_access(write(
      config("    certificate-authority: ca.pem\n    server: https://[::1]:6443/k8s/c/\n", "    tokenFile: token\n")));
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(access->host, "::1");
  EXPECT_EQ(access->port, "6443");
  EXPECT_EQ(access->prefix, "/k8s/c");
  EXPECT_EQ(access->authorities_pem, "CA");
  EXPECT_EQ(access->token, "tok");
}

TEST_F(KubeAccessTest, PodFindsItsServiceAccountsFiles) {
  std::ofstream(folder_.file("ca.crt")) << "CA";
  std::ofstream(folder_.file("token")) << "tok";
  AccessOptions options;
  options.ca_file = folder_.file("ca.crt");
  options.token_file = folder_.file("token");
  const auto access = load_access(options);
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(access->host, "kubernetes.default.svc");
  EXPECT_EQ(access->port, "443");
  options.token_file = folder_.file("none");
  const auto none = load_access(options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().field, "kubernetes.token_file");
}

TEST_F(KubeAccessTest, NothingIsSentInTheClear) {
  EXPECT_THAT(load_access(write(config("    server: http://10.0.0.1\n", "    token: t\n"))).error().message,
              HasSubstr("loopback address only"));
  EXPECT_THAT(load_access(write(config("    server: http://127.0.0.1:8001\n", "    token: t\n"))).error().message,
              HasSubstr("a token is not sent"));
  EXPECT_THAT(load_access(write(config("    server: https://h\n", "    token: t\n"))).error().message,
              HasSubstr("certificate-authority is missing"));
  EXPECT_THAT(load_access(write(config("    server: ftp://h\n", "    token: t\n"))).error().message,
              HasSubstr("is no URL"));
}

}  // namespace
}  // namespace tidegate::scheduler::kube
