"""Live lists, with the model viewsets of Django REST Framework and of adrf."""

from collections.abc import Hashable, Iterable
from datetime import timedelta
from typing import assert_type

from adrf.viewsets import ModelViewSet as AsyncModelViewSet
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import serializers
from rest_framework.viewsets import ModelViewSet

from adrf_sse.channels import acurrent_event_id, announce, current_event_id
from adrf_sse.views import LiveModelMixin
from shop.viewsets import GroupSerializer


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]  (as in every project with these stubs)
        model = User
        fields = ["id", "username"]


class GroupViewSet(LiveModelMixin, ModelViewSet[Group]):
    queryset = Group.objects.all()
    serializer_class = GroupSerializer
    heartbeat = timedelta(seconds=5)
    reauthorize_interval = 60

    def get_live_partition(self) -> str:
        return "everybody"


class OwnUserViewSet(LiveModelMixin, ModelViewSet[User]):
    queryset = User.objects.all()
    serializer_class = UserSerializer
    live_by = "id"

    def get_queryset(self) -> QuerySet[User]:
        return super().get_queryset().filter(username=self.request.user.get_username())


class AsyncGroupViewSet(LiveModelMixin, AsyncModelViewSet):
    queryset = Group.objects.all()
    serializer_class = GroupSerializer

    def get_live_partition(self) -> Hashable | None:
        return super().get_live_partition()


def rename(pks: Iterable[int]) -> None:
    with transaction.atomic():
        Group.objects.filter(pk__in=pks).update(name="renamed")
        announce(Group.objects.filter(pk__in=pks))
        announce(Group.objects.bulk_create([Group(name="new")]))
        announce(Group.objects.get(pk=1))


def page(request: HttpRequest) -> HttpResponse:
    position = current_event_id()
    assert_type(position, int)
    return render(request, "groups.html", {"position": position, "groups": Group.objects.all()})


async def position_now() -> int:
    return await acurrent_event_id()
