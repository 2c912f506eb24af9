#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/statement.grpc.pb.h"

namespace tidegate::billing {

/// Invoices, exports, cost and margin; see proto/tidegate/v1/statement.proto for the contract.
class StatementService final : public v1::Statements::CallbackService {
 public:
  /// `grace`: after a month's end before the closing job, or a call that asks for the same, closes it.
  StatementService(const ServiceContext& context, rpc::WorkPool& workers, std::chrono::microseconds grace)
      : context_(context), host_(context, workers), grace_(grace) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* SaveIssuer(Call*, const v1::Issuer*, v1::Issuer*) override;
  Reactor* SaveBillingProfile(Call*, const v1::BillingProfile*, v1::BillingProfile*) override;
  Reactor* GetBillingProfile(Call*, const v1::GetBillingProfileRequest*, v1::BillingProfile*) override;
  Reactor* CloseInvoices(Call*, const v1::CloseInvoicesRequest*, v1::CloseInvoicesResponse*) override;
  Reactor* ListInvoices(Call*, const v1::ListInvoicesRequest*, v1::ListInvoicesResponse*) override;
  Reactor* GetInvoice(Call*, const v1::GetInvoiceRequest*, v1::InvoiceDetail*) override;
  Reactor* PreviewInvoice(Call*, const v1::PreviewInvoiceRequest*, v1::InvoiceDetail*) override;
  Reactor* IssueInvoice(Call*, const v1::IssueInvoiceRequest*, v1::Invoice*) override;
  Reactor* VoidInvoice(Call*, const v1::VoidInvoiceRequest*, v1::Invoice*) override;
  Reactor* ReplaceInvoice(Call*, const v1::ReplaceInvoiceRequest*, v1::Invoice*) override;
  Reactor* ListLineRequests(Call*, const v1::ListLineRequestsRequest*, v1::ListLineRequestsResponse*) override;
  Reactor* GetInvoiceDocument(Call*, const v1::GetInvoiceDocumentRequest*, v1::InvoiceDocument*) override;
  Reactor* ExportFocus(Call*, const v1::ExportFocusRequest*, v1::ExportFocusResponse*) override;
  Reactor* LoadCosts(Call*, const v1::LoadCostsRequest*, v1::LoadCostsResponse*) override;
  Reactor* GetMargin(Call*, const v1::GetMarginRequest*, v1::GetMarginResponse*) override;

 private:
  /// One transaction per call: work(tx) -> Result<Response>. Ids and the time are made before, since a transaction may
  /// run more than once.
  template <typename Response, typename Work>
  Reactor* serve(Call* call, Response* response, Work work, const char* method = __builtin_FUNCTION());
  /// The same, with a line in the log once it is committed.
  template <typename Work>
  Reactor* serve_logged(Call* call, v1::Invoice* response, const char* event, Work work,
                        const char* method = __builtin_FUNCTION());
  void log_invoice(const char* event, const v1::Invoice& invoice) const;

  const ServiceContext& context_;
  AdminHost host_;
  const std::chrono::microseconds grace_;
};

}  // namespace tidegate::billing
