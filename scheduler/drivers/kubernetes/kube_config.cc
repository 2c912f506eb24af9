#include "scheduler/drivers/kubernetes/kube_config.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "scheduler/drivers/kubernetes/objects/object_names.h"

namespace tidegate::scheduler {

namespace {

constexpr auto kForceExtra = std::chrono::seconds(30);  // beyond a pod's own grace period, before it is taken away

std::unexpected<Error> bad_option(const std::string& option, const std::string& why) {
  return fail(Code::kInvalidArgument, "bad_config", fmt::format("{}: {}", option, why), option);
}

Status check_volume(const std::string& volume) {
  constexpr std::string_view kClaim = "pvc:";
  constexpr std::string_view kHost = "hostpath:/";
  if (volume.empty()) return {};
  if (volume.starts_with(kClaim))
    return kube::check_dns_label(volume.substr(kClaim.size()), "kubernetes.models_volume");
  if (volume.starts_with(kHost)) return {};
  return bad_option("kubernetes.models_volume", fmt::format("'{}' is neither pvc:CLAIM nor hostpath:/folder", volume));
}

}  // namespace

void add_kube_rows(ConfigTable& table, KubeConfig& config) {
  kube::KubeSettings& objects = config.objects;
  table.text("kubernetes.namespace", objects.name_space,
             "Kubernetes driver: namespace of the workers; one installation a namespace.");
  table.text("kubernetes.installation", objects.installation,
             "Kubernetes driver: label by which this installation's objects are found.");
  table.text("kubernetes.image", objects.image, "Kubernetes driver: image of the workers; a pool may have its own.");
  table.choice("kubernetes.pull_policy", objects.pull_policy, {"IfNotPresent", "Always", "Never"},
               "Kubernetes driver: when the image is pulled.");
  table.text("kubernetes.pull_secret", objects.pull_secret,
             "Kubernetes driver: Secret for the image's registry; empty = none.");
  table.text(
      "kubernetes.worker_service_account", objects.service_account,
      "Kubernetes driver: service account of the workers, who get no token of it; empty = the namespace's default.");
  table.text("kubernetes.worker_binary", objects.worker_binary, "Kubernetes driver: tidegate-worker inside the image.");
  table.text("kubernetes.pools_file", config.pools_file,
             "Kubernetes driver: JSON file that says what a replica gets in each pool.");
  table.text("kubernetes.scheduler_address", objects.scheduler_address,
             "Kubernetes driver: address of this scheduler's Service, told to workers (host:port).");
  table.text("kubernetes.billing_address", objects.billing_address,
             "Kubernetes driver: where workers tell what each sequence cost (host:port); empty = nowhere.");
  table.text("kubernetes.token_secret", objects.token_secret,
             "Kubernetes driver: Secret whose key cluster_token is the cluster's token.");
  table.text(
      "kubernetes.tls_secret", objects.tls_secret,
      "Kubernetes driver: Secret with ca.crt, tls.crt and tls.key of the workers' role; needed with rpc.tls_...");
  table.text("kubernetes.models_volume", objects.models_volume,
             "Kubernetes driver: where weights come from, pvc:CLAIM or hostpath:/folder, mounted read-only at "
             "models.dir; empty = the image has them.");
  table.text("kubernetes.gateway_label", objects.gateway_label,
             "Kubernetes driver: label (key=value) of the pods that may call workers.");
  table.text("kubernetes.metrics_namespace", objects.metrics_namespace,
             "Kubernetes driver: namespace from where workers' metrics may be read.");
  table.flag("kubernetes.network_policy", objects.network_policy,
             "Kubernetes driver: whether each deployment gets a NetworkPolicy.");
  table.integer("kubernetes.grpc_port", objects.grpc_port, 1024, 65535,
                "Kubernetes driver: gRPC port of a worker's pod.");
  table.integer("kubernetes.admin_port", objects.admin_port, 1024, 65535,
                "Kubernetes driver: port of a worker's probes and metrics.");
  table.milliseconds("kubernetes.stop_limit_ms", objects.stop_limit, 1'000, 3'600'000,
                     "Kubernetes driver: how long a replica may take to finish before it is killed.");
  table.milliseconds("kubernetes.load_limit_ms", objects.load_limit, 10'000, 14'400'000,
                     "Kubernetes driver: how long a worker may take to load its model.");
  table.private_file("kubernetes.kubeconfig", config.access.kubeconfig,
                     "Kubernetes driver: kubeconfig file; empty = as a pod of the cluster.");
  table.text("kubernetes.context", config.access.context,
             "Kubernetes driver: context of the kubeconfig; empty = its current one.");
  table.text("kubernetes.api_server", config.access.api_server,
             "Kubernetes driver, without a kubeconfig: URL of the API server.");
  table.text("kubernetes.token_file", config.access.token_file,
             "Kubernetes driver, without a kubeconfig: file of the service account's token.");
  table.text("kubernetes.ca_file", config.access.ca_file,
             "Kubernetes driver, without a kubeconfig: authorities of the API server.");
  table.milliseconds("kubernetes.call_limit_ms", config.call_limit, 100, 120'000,
                     "Kubernetes driver: how long one call of the API server may take.");
  table.milliseconds(
      "kubernetes.watch_limit_ms", config.watch_limit, 5'000, 600'000,
      "Kubernetes driver: how long a watch lasts before it is begun anew; one that went dead is noticed after this.");
  table.integer("kubernetes.writes_per_s", config.writes_per_second, 1, 1'000,
                "Kubernetes driver: writes to the API server per second at most.");
}

Status check_kube_config(const KubeConfig& config, const std::string& models_dir, bool tls_inside) {
  const kube::KubeSettings& objects = config.objects;
  TG_TRY(kube::check_dns_label(objects.name_space, "kubernetes.namespace"));
  TG_TRY(kube::check_dns_label(objects.installation, "kubernetes.installation"));
  TG_TRY(kube::check_dns_label(objects.metrics_namespace, "kubernetes.metrics_namespace"));
  TG_TRY(kube::check_dns_label(objects.token_secret, "kubernetes.token_secret"));
  if (objects.image.empty()) return bad_option("kubernetes.image", "is required: what workers are made of");
  if (config.pools_file.empty())
    return bad_option("kubernetes.pools_file", "is required: what a replica gets in each pool");
  if (objects.scheduler_address.empty())
    return bad_option("kubernetes.scheduler_address", "is required: workers register there");
  if (objects.scheduler_address.starts_with("unix:"))
    return bad_option("kubernetes.scheduler_address", "a unix socket is not reached from another pod");
  if (tls_inside && objects.tls_secret.empty())
    return bad_option("kubernetes.tls_secret", "is required with rpc.tls_...: workers show certificates too");
  if (!tls_inside && !objects.tls_secret.empty())
    return bad_option("kubernetes.tls_secret", "is for rpc.tls_..., which is off");
  if (objects.grpc_port == objects.admin_port)
    return bad_option("kubernetes.admin_port", "is the gRPC port as well; give it another");
  const auto equals = objects.gateway_label.find('=');
  if (equals == 0 || equals == std::string::npos) return bad_option("kubernetes.gateway_label", "must be key=value");
  TG_TRY(check_volume(objects.models_volume));
  if (!objects.models_volume.empty() && !models_dir.starts_with('/')) {
    return bad_option("models.dir",
                      "must be absolute with kubernetes.models_volume: it is mounted there in every worker");
  }
  return {};
}

Result<std::unique_ptr<RuntimeDriver>> open_kubernetes_driver(const KubeConfig& config, const std::string& models_dir,
                                                              std::string holder, const Clock& clock, Log& log,
                                                              kube::KubeMetrics& metrics, std::uint64_t seed) {
  TG_ASSIGN(kube::PoolShapes pools, kube::PoolShapes::load(config.pools_file));
  KubernetesDriver::Settings settings;
  settings.objects = config.objects;
  settings.objects.models_dir = models_dir;
  settings.access = config.access;
  settings.holder = std::move(holder);
  settings.call_limit = config.call_limit;
  settings.watch_limit = config.watch_limit;
  settings.writes_per_second = config.writes_per_second;
  settings.book.stop_limit = config.objects.stop_limit + kForceExtra;
  TG_ASSIGN(std::unique_ptr<KubernetesDriver> driver,
            KubernetesDriver::open(std::move(settings), std::move(pools), clock, log, metrics, seed));
  return std::unique_ptr<RuntimeDriver>(std::move(driver));
}

}  // namespace tidegate::scheduler
