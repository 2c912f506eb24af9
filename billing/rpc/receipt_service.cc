#include "billing/rpc/receipt_service.h"

#include "billing/adapters/account_store.h"
#include "billing/adapters/receipt_days.h"
#include "billing/adapters/receipt_store.h"
#include "billing/adapters/usage_query.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

namespace {

constexpr int kDaysDefault = 31;
constexpr int kDaysMax = 1000;

Result<v1::ReceiptItem> load_item(pqxx::work& tx, const std::string& request_id,
                                  const std::optional<TenantId>& tenant) {
  TG_ASSIGN(const auto request, RequestId::parse(request_id));
  TG_ASSIGN(const auto place, find_receipt(tx, request, tenant));
  v1::ReceiptItem item;
  item.set_request_id(request_id);
  TG_ASSIGN(*item.mutable_receipt(), whole_receipt(place));
  return item;
}

Result<v1::ListReceiptKeysResponse> load_keys(pqxx::work& tx) {
  v1::ListReceiptKeysResponse out;
  for (const ReceiptKeyRow& row : list_receipt_keys(tx)) {
    v1::ReceiptKey* key = out.add_keys();
    key->set_key_id(row.key_id);
    key->set_signer(row.signer);
    key->set_deployment(row.deployment);
    key->set_public_key(row.public_key);
    key->set_valid_from_us(unix_micros(row.valid_from));
    if (row.valid_to) key->set_valid_to_us(unix_micros(*row.valid_to));
  }
  return out;
}

/// Everything here only reads, and one picture of it.
template <typename Work>
auto reading(Work work) {
  return [work = std::move(work)](pqxx::work& tx) {
    tx.exec0("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
    return work(tx);
  };
}

}  // namespace

ReceiptService::Reactor* ReceiptService::GetReceipt(Call* call, const v1::GetReceiptRequest* request,
                                                    v1::ReceiptItem* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) {
    auto job = reading([request](pqxx::work& tx) { return load_item(tx, request->request_id(), std::nullopt); });
    return context_.pool.run_blocking(c.deadline(), attributed(c, job));
  });
}

ReceiptService::Reactor* ReceiptService::ListReceipts(Call* call, const v1::ListReceiptsRequest* request,
                                                      v1::ListReceiptsResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) {
    auto job = reading([request](pqxx::work& tx) -> Result<v1::ListReceiptsResponse> {
      v1::Page wanted;
      wanted.set_after(request->after());
      wanted.set_limit(request->limit());
      TG_ASSIGN(const auto page, read_page(wanted));
      TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
      UsageFilter filter;
      filter.tenant = tenant.id;
      v1::ListReceiptsResponse out;
      for (const UsageRow& row : list_usage(tx, filter, page)) {
        const std::string id = row.event.request.to_string();
        auto item = load_item(tx, id, tenant.id);
        if (item) {
          *out.add_receipts() = *std::move(item);
        } else if (item.error().reason == "no_receipt") {
          out.add_receipts()->set_request_id(id);  // from before there were receipts
        } else {
          return fail(std::move(item).error());
        }
      }
      return out;
    });
    return context_.pool.run_blocking(c.deadline(), attributed(c, job));
  });
}

ReceiptService::Reactor* ReceiptService::ProveReceipt(Call* call, const v1::ProveReceiptRequest* request,
                                                      v1::ReceiptProof* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) {
    auto job = reading([request](pqxx::work& tx) -> Result<v1::ReceiptProof> {
      TG_ASSIGN(const auto id, RequestId::parse(request->request_id()));
      TG_ASSIGN(const auto place, find_receipt(tx, id, std::nullopt));
      TG_ASSIGN(const auto proof, prove_receipt(tx, place));
      v1::ReceiptProof out;
      out.set_day(proof.day.day);
      out.set_link(std::string(as_view(proof.link)));
      out.set_index(proof.index);
      for (const Digest& node : proof.path) out.add_path(std::string(as_view(node)));
      out.set_checkpoint(proof.day.checkpoint);
      return out;
    });
    return context_.pool.run_blocking(c.deadline(), attributed(c, job));
  });
}

ReceiptService::Reactor* ReceiptService::ListReceiptDays(Call* call, const v1::ListReceiptDaysRequest* request,
                                                         v1::ListReceiptDaysResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::ListReceiptDaysResponse> {
    const int limit = request->limit() == 0 ? kDaysDefault : request->limit();
    if (limit < 1 || limit > kDaysMax) {
      return fail(Code::kInvalidArgument, "bad_limit", "limit must be 1 to 1000, or 0 for 31", "limit");
    }
    auto job = reading([limit](pqxx::work& tx) -> Result<v1::ListReceiptDaysResponse> {
      v1::ListReceiptDaysResponse out;
      for (const DayRow& row : list_days(tx, limit)) {
        v1::ReceiptDay* day = out.add_days();
        day->set_day(row.day);
        day->set_size(row.size);
        day->set_checkpoint(row.checkpoint);
      }
      return out;
    });
    return context_.pool.run_blocking(c.deadline(), job);
  });
}

ReceiptService::Reactor* ReceiptService::ListReceiptKeys(Call* call, const v1::ListReceiptKeysRequest*,
                                                         v1::ListReceiptKeysResponse* response) {
  return host_.serve(call, response,
                     [this](const AdminCall& c) { return context_.pool.run_blocking(c.deadline(), load_keys); });
}

grpc::ServerUnaryReactor* ReceiptLookupService::FindReceipt(grpc::CallbackServerContext* call,
                                                            const v1::FindReceiptRequest* request,
                                                            v1::ReceiptItem* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) {
    auto job = reading([request](pqxx::work& tx) -> Result<v1::ReceiptItem> {
      TG_ASSIGN(const auto tenant, TenantId::from_bytes(request->tenant_id()));
      return load_item(tx, request->request_id(), tenant);
    });
    return context_.pool.run_blocking(c.deadline(), job);
  });
}

grpc::ServerUnaryReactor* ReceiptLookupService::ListKeys(grpc::CallbackServerContext* call,
                                                         const v1::ListReceiptKeysRequest*,
                                                         v1::ListReceiptKeysResponse* response) {
  return host_.serve(call, response,
                     [this](const rpc::ServerCall& c) { return context_.pool.run_blocking(c.deadline(), load_keys); });
}

}  // namespace tidegate::billing
