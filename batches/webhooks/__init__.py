"""Tell other programs what happened, by signed messages as Standard Webhooks describes them (docs/webhooks.md).

An event is written in the transaction of the act that it is about, one WebhookDelivery for each Webhook that wants it.
So no event is lost, and none is told of an act that was rolled back. The sweep has the deliveries sent.
"""
